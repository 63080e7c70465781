/** CPU time: all of this process, its garbage collector and compiler threads included. */

/** µs of CPU so far. */
export const cpuMicros = (): number => {
  const { system, user } = process.cpuUsage()
  return user + system
}

/** µs of CPU for each of `count` repetitions of `work`. */
export const perCall = async (count: number, work: () => Promise<unknown>): Promise<number> => {
  const before = cpuMicros()
  await work()
  return (cpuMicros() - before) / count
}

/** The middle of some numbers. */
export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}

/** One of several things that are measured side by side; runs itself `count` times. */
export interface Variant {
  readonly name: string
  readonly run: (count: number) => Promise<unknown>
}

/**
 * Measure variants interleaved: in each round every one runs once, in turn, so
 * that drift of the machine meets them all alike. Gives µs for each call, a
 * list for each variant, one entry a round. The first rounds warm the compiler
 * up and are thrown away.
 */
export const interleaved = async <V extends Readonly<Record<string, Variant>>>(
  variants: V,
  rounds: number,
  count: number,
  warmUp = 2
): Promise<{ readonly [K in keyof V]: ReadonlyArray<number> }> => {
  // The keys are those of the variants.
  const times = Object.fromEntries(Object.keys(variants).map((name) => [name, []])) as unknown as {
    readonly [K in keyof V]: Array<number>
  }
  for (let round = -warmUp; round < rounds; round++) {
    for (const [name, variant] of Object.entries<Variant>(variants)) {
      globalThis.gc?.()
      const each = await perCall(count, () => variant.run(count))
      if (round >= 0) times[name as keyof V].push(each)
    }
  }
  return times
}

/** Differences or ratios of two lists, round by round. */
export const paired = (
  a: ReadonlyArray<number>,
  b: ReadonlyArray<number>,
  by: (x: number, y: number) => number
): ReadonlyArray<number> => a.map((value, index) => by(value, b[index] ?? Number.NaN))

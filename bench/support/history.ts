/**
 * Checks of recorded runs: what the processes of a fleet wrote down while they were killed, stopped and cut off from
 * their stores, looked at as one history on the clock that all of them share (ms, see `scenarios/s9/clock.ts`).
 *
 * Every check gives the processes the benefit of what cannot be known from outside: a permit counts from the answer that
 * gave it to the moment before it was given back; money counts as reserved from the moment it was asked for. So what is
 * found is a violation, whatever the order in which the store saw things.
 */

/** A time in which a process could do nothing: stopped until it was resumed, or dead (`toMs` is `Infinity`). */
export interface Absence {
  readonly process: string
  readonly fromMs: number
  readonly toMs: number
  /** It was longer than a permit lives: who comes back has to be given the permit again, and others may have had it. */
  readonly lapses?: boolean
}

/** One permit in the hands of a process. */
export interface Holding {
  readonly process: string
  readonly fence: number
  readonly askedMs: number
  readonly fromMs: number
  /** Given back, or known to be lost; `Infinity` where neither is on record. */
  readonly toMs: number
  readonly end: "released" | "lost" | "open"
  /** Times at which the holder looked after a pause of its own and still thought it held the permit. */
  readonly seenMs: ReadonlyArray<number>
}

/** A span of time. */
export interface Span {
  readonly fromMs: number
  readonly toMs: number
}

/**
 * When a permit was in use. A process that is absent uses nothing; one that comes back and finds its permit lost, or
 * gives it back before its absence is over, has used it until the pause, and again from the moment at which it looked
 * and thought that it still had it, if ever. One that comes back and goes on has had it all the while, unless permits do
 * not live for so long.
 */
export const uses = (holding: Holding, absences: ReadonlyArray<Absence>): ReadonlyArray<Span> => {
  const within = absences
    .filter(({ fromMs, process }) => process === holding.process && fromMs >= holding.fromMs && fromMs < holding.toMs)
    .toSorted((a, b) => a.fromMs - b.fromMs)
  const spans: Array<Span> = []
  let from = holding.fromMs
  for (const absence of within) {
    if (absence.fromMs < from) continue
    if (absence.toMs === Infinity) return [...spans, { fromMs: from, toMs: absence.fromMs }]
    const goesOn = holding.end !== "lost" && holding.toMs > absence.toMs
    if (goesOn && absence.lapses !== true) continue
    spans.push({ fromMs: from, toMs: absence.fromMs })
    const seen = holding.seenMs.find((at) => at >= absence.toMs)
    if (seen === undefined) return spans
    from = seen
  }
  return [...spans, { fromMs: from, toMs: holding.toMs }]
}

/** A value that changes at points in time; before the first it is 0. */
export interface Steps {
  readonly atMs: ReadonlyArray<number>
  readonly value: ReadonlyArray<number>
}

/** Sum changes to steps. At one point in time, `lowFirst` takes the falls before the rises. */
export const stepsOf = (changes: ReadonlyArray<readonly [atMs: number, by: number]>, lowFirst: boolean): Steps => {
  const sorted = changes.toSorted(([a, x], [b, y]) => a - b || (lowFirst ? x - y : y - x))
  const atMs: Array<number> = []
  const value: Array<number> = []
  let sum = 0
  for (const [at, by] of sorted) {
    sum += by
    atMs.push(at)
    value.push(sum)
  }
  return { atMs, value }
}

/** The first step at or after a time. */
const after = ({ atMs }: Steps, time: number): number => {
  let low = 0
  let high = atMs.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (atMs[middle]! < time) low = middle + 1
    else high = middle
  }
  return low
}

/** Most of the value between two points in time. */
export const mostIn = (steps: Steps, { fromMs, toMs }: Span): number => {
  const first = after(steps, fromMs)
  let most = first === 0 ? 0 : steps.value[first - 1]!
  for (let index = first; index < steps.atMs.length && steps.atMs[index]! <= toMs; index++) {
    most = Math.max(most, steps.value[index]!)
  }
  return most
}

/** The value's mean over time between two points. */
export const meanIn = (steps: Steps, { fromMs, toMs }: Span): number => {
  let index = after(steps, fromMs)
  let level = index === 0 ? 0 : steps.value[index - 1]!
  let at = fromMs
  let area = 0
  for (; index < steps.atMs.length && steps.atMs[index]! < toMs; index++) {
    area += level * (steps.atMs[index]! - at)
    at = steps.atMs[index]!
    level = steps.value[index]!
  }
  return (area + level * (toMs - at)) / (toMs - fromMs)
}

/** How many permits were in use at each point in time. */
export const permitsInUse = (holdings: ReadonlyArray<Holding>, absences: ReadonlyArray<Absence>): Steps =>
  stepsOf(
    holdings.flatMap((holding) =>
      uses(holding, absences).flatMap(({ fromMs, toMs }): ReadonlyArray<readonly [number, number]> => [
        [fromMs, 1],
        [toMs, -1]
      ])
    ),
    true
  )

/** Most permits in use at once beyond the limit. */
export const permitsOverLimit = (
  holdings: ReadonlyArray<Holding>,
  absences: ReadonlyArray<Absence>,
  limit: number
): number => Math.max(0, mostIn(permitsInUse(holdings, absences), { fromMs: 0, toMs: Infinity }) - limit)

/** Pairs of permits of which the later one, asked for after the earlier was there, does not have the larger fence. */
export const fenceViolations = (holdings: ReadonlyArray<Holding>): number => {
  const given = holdings.toSorted((a, b) => a.fromMs - b.fromMs)
  const asked = holdings.toSorted((a, b) => a.askedMs - b.askedMs)
  let violations = 0
  let largest = -Infinity
  let next = 0
  for (const holding of asked) {
    while (next < given.length && given[next]!.fromMs < holding.askedMs)
      largest = Math.max(largest, given[next++]!.fence)
    if (holding.fence <= largest) violations++
  }
  return violations
}

/** One request for money, by one process. Amounts in micro-dollars. */
export interface Charge {
  readonly id: string
  readonly process: string
  readonly askedMs: number
  /** When the answer came; `Infinity` where none is on record. */
  readonly answeredMs: number
  readonly answer: "admitted" | "refused" | "unavailable" | "none"
  /** What was set aside, or would have been. */
  readonly estimate: number
  /** What the call really cost; what it would cost to its end where its process was killed. 0 without a call. */
  readonly cost: number
  /** When it was settled; `Infinity` where it never was. */
  readonly settledMs: number
}

/** What all calls have really cost. */
export const reallySpent = (charges: ReadonlyArray<Charge>): number =>
  charges.reduce((sum, { answer, cost }) => sum + (answer === "admitted" ? cost : 0), 0)

/** Real spending beyond the cap, as a share of it. */
export const overshoot = (charges: ReadonlyArray<Charge>, cap: number): number =>
  Math.max(0, reallySpent(charges) / cap - 1)

/**
 * Most that can have been spent and reserved at each point in time, where money is free again `toldMs` after the end of
 * a call, or after a question of which nobody knows what became of it. A killed process's reservations stay as they are.
 */
export const mostReserved = (charges: ReadonlyArray<Charge>, toldMs: number): Steps =>
  stepsOf(
    charges.flatMap(
      ({ answer, answeredMs, askedMs, cost, estimate, settledMs }): ReadonlyArray<readonly [number, number]> => {
        switch (answer) {
          case "refused":
            return []
          case "unavailable":
            return [
              [askedMs, estimate],
              [answeredMs + toldMs, -estimate]
            ]
          case "none":
            return [[askedMs, estimate]]
          case "admitted":
            return settledMs === Infinity
              ? [[askedMs, estimate]]
              : [
                  [askedMs, estimate],
                  [settledMs + toldMs, cost - estimate]
                ]
        }
      }
    ),
    false
  )

/** Refusals of requests that fitted into the cap all the time between question and answer. */
export const falseRefusals = (charges: ReadonlyArray<Charge>, cap: number, toldMs = 0): ReadonlyArray<Charge> => {
  const reserved = mostReserved(charges, toldMs)
  return charges.filter(
    ({ answer, answeredMs, askedMs, estimate }) =>
      answer === "refused" && mostIn(reserved, { fromMs: askedMs, toMs: answeredMs }) + estimate <= cap
  )
}

/** The books must hold each of these once: ids that are missing, and ids that are there more than once. */
export const bookkeeping = (
  expected: Iterable<string>,
  booked: Iterable<string>
): { readonly missing: ReadonlyArray<string>; readonly twice: ReadonlyArray<string> } => {
  const counts = new Map<string, number>()
  for (const id of booked) counts.set(id, (counts.get(id) ?? 0) + 1)
  return {
    missing: [...new Set(expected)].filter((id) => !counts.has(id)),
    twice: [...counts].filter(([, count]) => count > 1).map(([id]) => id)
  }
}

/** A call to whatever `key` names, and how long its answer asked to be left alone, where it did (ms). */
export interface Attempt {
  readonly key: string
  readonly atMs: number
  readonly answeredMs: number
  readonly retryAfterMs?: number | undefined
}

/** Attempts that came before an earlier answer of the same key allowed it. */
export const earlyAttempts = (attempts: ReadonlyArray<Attempt>): ReadonlyArray<Attempt> => {
  const told = attempts
    .filter(({ retryAfterMs }) => retryAfterMs !== undefined)
    .toSorted((a, b) => a.answeredMs - b.answeredMs)
  const until = new Map<string, number>()
  let next = 0
  return attempts
    .toSorted((a, b) => a.atMs - b.atMs)
    .filter(({ atMs, key }) => {
      for (; next < told.length && told[next]!.answeredMs <= atMs; next++) {
        const { answeredMs, key: of, retryAfterMs = 0 } = told[next]!
        until.set(of, Math.max(until.get(of) ?? 0, answeredMs + retryAfterMs))
      }
      return atMs < (until.get(key) ?? 0)
    })
}

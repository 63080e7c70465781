/** The random draw of one seed: mulberry32 (Tommy Ettinger, public domain), enough for moments, sizes and speeds. */

/** Draws of one seed, always the same and in the same order. */
export interface Draw {
  /** At least 0 and below 1. */
  readonly unit: () => number
  /** A number between the two. */
  readonly between: (from: number, to: number) => number
  /** A whole number, both ends included. */
  readonly whole: (from: number, to: number) => number
  readonly pick: <A>(from: readonly [A, ...ReadonlyArray<A>]) => A
}

/** The draws of `seed`; `stream` tells apart parts of a run that must not shift each other's draws. */
export const draw = (seed: number, stream: string): Draw => {
  let state = Math.imul(seed + 1, 0x9e3779b1) >>> 0
  for (const char of stream) state = Math.imul(state ^ char.charCodeAt(0), 0x01000193) >>> 0
  const unit = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  const between = (from: number, to: number): number => from + unit() * (to - from)
  return {
    unit,
    between,
    whole: (from, to) => Math.min(to, Math.floor(between(from, to + 1))),
    pick: (from) => from[Math.floor(unit() * from.length)] ?? from[0]
  }
}

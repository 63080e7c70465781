/** What a process of S7 is told, what it writes down, and how long things take in the full and the short form. */

/** Who hands out the permits. */
export const policies = ["ballast", "zset-client-clock", "counter"] as const
export type Policy = (typeof policies)[number]

/** One process. Durations in ms. */
export interface Setup {
  readonly name: string
  readonly seed: number
  readonly policy: Policy
  readonly redisUrl: string
  readonly prefix: string
  /** Longest wait for Redis. */
  readonly timeoutMs: number
  /** Permits of the tenant in the whole fleet. */
  readonly limit: number
  readonly ttlMs: number
  readonly processes: number
  /** Callers in this process, each of which always wants a permit. */
  readonly workers: number
  readonly holdMs: readonly [from: number, to: number]
  readonly journal: string
  /** How far this process's clock is off. */
  readonly skewMs: number
  /** All decisions of a request: rate limit and budget too. */
  readonly whole: boolean
}

/** A line of a process's journal. `n` tells the permits of one process apart; times are on the shared clock. */
export type Event =
  /** A permit was given: asked for at `a`, there at `t`, with the fence `f`; `l`: by the process alone. */
  | {
      readonly k: "got"
      readonly n: number
      readonly f: number
      readonly a: number
      readonly t: number
      readonly l?: 1
    }
  /** The holder looked after a pause, and still thought it had it. */
  | { readonly k: "seen"; readonly n: number; readonly t: number }
  /** Given back, or known to be lost. */
  | { readonly k: "end"; readonly n: number; readonly t: number; readonly how: "released" | "lost" }
  /** Refused, for this reason. */
  | { readonly k: "no"; readonly a: number; readonly t: number; readonly r: string }
  /** A tenant with a cap on its money asked; `ok`: it was let in. */
  | { readonly k: "cap"; readonly a: number; readonly t: number; readonly ok: boolean }

/** The shape of a run. */
export interface Shape {
  readonly processes: number
  readonly limit: number
  readonly workers: number
  readonly ttlMs: number
  readonly holdMs: readonly [from: number, to: number]
  /** How many are killed, or stopped, at once. */
  readonly victims: number
  readonly pauseMs: number
  /** How long Redis is away. */
  readonly awayMs: number
  readonly warmUpMs: number
}

export const shapes: { readonly [size in "full" | "small"]: Shape } = {
  full: {
    processes: 12,
    limit: 60,
    workers: 8,
    ttlMs: 10_000,
    holdMs: [100, 700],
    victims: 2,
    pauseMs: 30_000,
    awayMs: 10_000,
    warmUpMs: 2_000
  },
  small: {
    processes: 4,
    limit: 12,
    workers: 5,
    ttlMs: 1_200,
    holdMs: [50, 300],
    victims: 1,
    pauseMs: 3_000,
    awayMs: 2_000,
    warmUpMs: 700
  }
}

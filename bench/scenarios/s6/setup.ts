/** What a process of S6 is told, what it writes down, and the shapes of a run. */

/** What a call costs, in micro-dollars per million tokens: $3 and $15, a usual price of a large model. */
export const price = { input: 3_000_000, output: 15_000_000 }

/** Who spends, and for what. */
export const tenant = "spender"
export const model = "code"

/** How money is set aside. */
export const policies = ["ballast-max", "ballast-learned", "check-then-add"] as const
export type Policy = (typeof policies)[number]

/** One process. Durations in ms, money in micro-dollars. */
export interface Setup {
  readonly name: string
  readonly seed: number
  readonly policy: Policy
  readonly redisUrl: string
  readonly prefix: string
  /** The books; undefined in a run without Postgres. */
  readonly postgresUrl: string | undefined
  readonly cap: number
  /** Calls of this process at once. */
  readonly callers: number
  readonly callMs: readonly [from: number, to: number]
  /** Longest wait for Redis. */
  readonly timeoutMs: number
  /** Pause of a refused caller. */
  readonly pauseMs: number
  readonly reservationMs: number
  /** What a killed process was writing to the books is taken over after so long. */
  readonly claimMs: number
  /** Share of the calls to Redis whose answer does not come in time. */
  readonly faults: number
  /** Share of the calls that are settled twice, and of those that are settled after their reservation has expired. */
  readonly twice: number
  readonly late: number
  readonly sizes: string | undefined
  readonly processes: number
  readonly journal: string
}

/** A line of a process's journal; `n` tells the calls of one process apart, times are on the shared clock, money in micro-dollars. */
export type Event =
  /** Asked for `e` at `t`. */
  | { readonly k: "ask"; readonly n: number; readonly t: number; readonly e: number }
  /** Admitted with `e` set aside; the call will cost `c` if nobody stops it. */
  | {
      readonly k: "yes"
      readonly n: number
      readonly t: number
      readonly e: number
      readonly c: number
      readonly id: string
    }
  | { readonly k: "no"; readonly n: number; readonly t: number; readonly r: string }
  /** More was set aside: `e` in all. */
  | { readonly k: "more"; readonly n: number; readonly t: number; readonly e: number }
  /** It costs no more than `c`: it was cut there. */
  | { readonly k: "cut"; readonly n: number; readonly t: number; readonly c: number }
  /** Over: it did cost `c`. */
  | { readonly k: "end"; readonly n: number; readonly t: number; readonly c: number }

/** The shape of a run. */
export interface Shape extends Pick<
  Setup,
  "timeoutMs" | "cap" | "callers" | "callMs" | "pauseMs" | "reservationMs" | "claimMs" | "faults" | "twice" | "late"
> {
  readonly processes: number
  readonly runMs: number
  /** Processes killed, at random times, and replaced. */
  readonly kills: number
  /** Longest that is waited for quiet after the end of the longest reservation. */
  readonly quietMs: number
}

export const shapes: { readonly [size in "full" | "small"]: Shape } = {
  full: {
    processes: 20,
    timeoutMs: 250,
    cap: 100_000_000,
    callers: 200,
    callMs: [3_000, 9_000],
    pauseMs: 6_000,
    reservationMs: 20_000,
    claimMs: 30_000,
    faults: 0.1,
    twice: 0.05,
    late: 0.002,
    runMs: 60_000,
    kills: 4,
    quietMs: 15_000
  },
  small: {
    processes: 4,
    timeoutMs: 250,
    cap: 4_000_000,
    callers: 25,
    callMs: [100, 500],
    pauseMs: 250,
    reservationMs: 2_500,
    claimMs: 3_000,
    faults: 0.1,
    twice: 0.05,
    late: 0.01,
    runMs: 6_000,
    kills: 2,
    quietMs: 10_000
  }
}

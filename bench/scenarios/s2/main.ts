/**
 * S2, the 429 lock-out: a provider whose limit counts refused calls too. Whoever
 * comes back faster than the limit refills stays locked out after an outage is
 * over; and where a recorded day's bursts go beyond the limit, only waiting in
 * order gets more through, no way of trying again does.
 */
import * as Recovery from "../../../src/programs/simulate/figures.ts"
import * as Tally from "../../../src/programs/simulate/tally.ts"
import { retrying } from "../baselines/retrying.ts"
import { sdk, sdkRetried } from "../baselines/sdk.ts"
import { least, most } from "../harness/case.ts"
import type { Bench, Case, Run } from "../harness/case.ts"
import { inOnePiece, provider, shipped } from "../harness/common.ts"
import type { PoliciesInput } from "../harness/common.ts"
import * as Figures from "../harness/figures.ts"
import * as Oracle from "./oracle.ts"
import * as Trace from "./trace.ts"

/** Share of the calls that the provider refused by its limit. */
const rateLimited = ({ calls, stats }: Run): number => (stats[provider]?.refused ?? 0) / Math.max(1, calls.length)

const limitPerS = 10
const load = 0.8
const trigger = { fromS: 60, toS: 120 }
const endS = 240
const patienceMs = 30_000
/** Whoever came so shortly before the trigger (s) met it too. */
const affectedS = 10

/** How soon an outage's end is seen. */
const breaker = { openMs: 2_000, maxOpenMs: 2_000 }

/** For comparison: nothing known of the limit, and nothing to be learned. After a 429 calls wait for its Retry-After all the same. */
const unpaced = { learn: false }

const lockout: Case = {
  variant: "lockout",
  about: "80 % of a limit that is held each second and counts refused calls; an outage of 60 s",
  scenario: () => ({
    name: "S2 lock-out",
    durationS: endS,
    processes: 1,
    providers: {
      [provider]: {
        ...inOnePiece,
        rpm: limitPerS * 60,
        burstMs: 1_000,
        refusedCount: true,
        faults: [{ kind: "outage", status: 503, fromMs: trigger.fromS * 1_000, toMs: trigger.toS * 1_000 }]
      }
    },
    policies: {
      ballast: shipped({
        bulkhead: { maxInFlight: 64 },
        breaker,
        pacing: { requestsPerMinute: limitPerS * 60, burstMs: 1_000 }
      }),
      "no-pacing": shipped({ bulkhead: { maxInFlight: 64 }, breaker, pacing: unpaced })
    },
    traffic: {
      outputTokens: { kind: "exponential", mean: 60, min: 1, max: 300 },
      perTokenMs: 10,
      ttftMs: { kind: "lognormal", median: 200, sigma: 0.3 },
      inputTokens: 100,
      stream: true,
      patienceMs,
      tenants: [{ name: "tenant", count: 10, ratePerS: (load * limitPerS) / 10 }]
    },
    marks: [{ name: "outage", ...trigger }]
  }),
  baselines: {
    "p-retry": retrying({ provider, tryMs: patienceMs, jitter: false }),
    sdk: sdk({ provider }),
    "sdk-p-retry": sdkRetried({ provider })
  },
  figures: (run) => {
    const { seconds } = Tally.make(run.endings, run.calls, endS)
    return {
      goodput_ratio: Recovery.goodputRatio(seconds, trigger, affectedS) ?? 0,
      success_ratio: Figures.goodShare(run.endings),
      attempts_per_request: Figures.attemptsPerRequest(run, Figures.span(trigger.fromS, endS)),
      recovery_s: Recovery.recoveryS(seconds, trigger, affectedS) ?? endS - trigger.toS,
      rate_limited_ratio: rateLimited(run),
      ...Figures.rejectP99(run.endings)
    }
  },
  targets: [most("recovery_s", 10), most("attempts_per_request", 1.1), most("rate_limited_ratio", 0.01)],
  expected: { "p-retry": [most("goodput_ratio", 0.5)], "sdk-p-retry": [most("goodput_ratio", 0.5)] }
}

/** Patience of the recorded visitors, and how much more than the mean the limit allows. */
const deadlineMs = 60_000
const allowed = 1.25

interface Kind {
  readonly suffix: string
  readonly unit: "requests" | "tokens"
  /** How long the provider lets its limit be saved up. */
  readonly burstMs: number
  readonly about: string
}

const kinds: ReadonlyArray<Kind> = [
  { suffix: "", unit: "requests", burstMs: 60_000, about: "a limit on requests, of which a minute may be saved up" },
  { suffix: "-each-second", unit: "requests", burstMs: 1_000, about: "a limit on requests that is held each second" },
  { suffix: "-tokens", unit: "tokens", burstMs: 60_000, about: "a limit on tokens, of which a minute may be saved up" }
]

/** The deadline alone ends a wait: the longest one is out of its way. */
const policy = (pacing: NonNullable<PoliciesInput["pacing"]>): PoliciesInput =>
  shipped({
    timeouts: { hardMs: deadlineMs, firstTokenMs: deadlineMs },
    bulkhead: { maxInFlight: 64, maxQueue: 10_000, maxWaitMs: 2 * deadlineMs },
    pacing
  })

const replay = ({ name, requests }: Trace.Recording, { about, burstMs, suffix, unit }: Kind): Case => {
  const lastS = requests.at(-1)?.atS ?? 1
  const costOf = ({ inputTokens, outputTokens }: { readonly inputTokens: number; readonly outputTokens: number }) =>
    unit === "requests" ? 1 : inputTokens + outputTokens
  const total = requests.reduce((sum, one) => sum + costOf(one), 0)
  const perMinute = Math.round((allowed * total * 60) / lastS)
  const limit = unit === "requests" ? { requestsPerMinute: perMinute } : { tokensPerMinute: perMinute }
  return {
    variant: `${name}${suffix}`,
    about: `as recorded, at ${about}, 1.25 times the mean; answers are wanted within 60 s`,
    scenario: () => ({
      name: `S2 ${name}${suffix}`,
      durationS: Math.ceil(lastS) + 1,
      processes: 1,
      providers: {
        [provider]: {
          ...inOnePiece,
          ...(unit === "requests" ? { rpm: perMinute } : { tpm: perMinute }),
          burstMs,
          refusedCount: true
        }
      },
      policies: {
        ballast: policy({ ...limit, burstMs }),
        "no-pacing": policy(unpaced)
      },
      traffic: {
        ttftMs: { kind: "lognormal", median: 300, sigma: 0.4 },
        perTokenMs: 10,
        patienceMs: deadlineMs,
        tenants: [{ name: "recorded", ratePerS: 0, recorded: [...requests] }]
      }
    }),
    baselines: {
      "p-retry": retrying({ provider, tryMs: deadlineMs, jitter: false }),
      sdk: sdk({ provider })
    },
    figures: (run) => {
      const good = run.endings.filter((ending) => Figures.goodShare([ending]) === 1).length
      const shortestMs = run.visits.reduce((ms, { serviceMs }) => Math.min(ms, serviceMs), Infinity)
      const jobs = run.visits.map(({ atMs, inputTokens, outputTokens }) => ({
        atMs,
        latestMs: atMs + deadlineMs - shortestMs,
        cost: costOf({ inputTokens, outputTokens })
      }))
      const perMs = perMinute / 60_000
      const oracle = Oracle.most(jobs, { perMs, size: Math.max(1, perMs * burstMs) })
      return {
        success_ratio: good / run.visits.length,
        oracle_ratio: good / Math.max(1, oracle),
        attempts_per_request: run.calls.length / run.visits.length,
        rate_limited_ratio: rateLimited(run),
        ...Figures.rejectP99(run.endings),
        oracle_success_ratio: oracle / run.visits.length
      }
    },
    targets: [least("oracle_ratio", 0.95), most("rate_limited_ratio", 0.01), most("attempts_per_request", 1.1)]
  }
}

const recordings = Trace.find()

/** The benchmark. */
export const bench: Bench = {
  name: "S2",
  title: "429 lock-out",
  scale: "as defined; the traces are played as they were recorded, in one process",
  cases: [lockout, ...recordings.flatMap((recording) => kinds.map((kind) => replay(recording, kind)))],
  ...(recordings.length === 0
    ? { notice: "S2: no azure2023_*.csv in the folders of $BALLAST_DATA/traces; playing the lock-out alone" }
    : {})
}

/**
 * S1, the metastable storm: a fleet that retries keeps a provider overloaded
 * after the cause is gone, because the provider works on for callers who have
 * given up (Bronson et al., HotOS 2021; Huang et al., OSDI 2022). And the other
 * side of the coin: where failures are rare and independent, a retry is what
 * saves the request.
 */
import * as Recovery from "../../../src/programs/simulate/figures.ts"
import * as Picture from "../../../src/programs/simulate/picture.ts"
import * as Svg from "../../../src/programs/simulate/svg.ts"
import * as Tally from "../../../src/programs/simulate/tally.ts"
import { retrying } from "../baselines/retrying.ts"
import { least, most } from "../harness/case.ts"
import type { Bench, Case } from "../harness/case.ts"
import { inOnePiece, provider, shipped } from "../harness/common.ts"
import type { PoliciesInput } from "../harness/common.ts"
import * as Figures from "../harness/figures.ts"

const slots = 100
const ratePerS = 80
const processes = 20
const tryMs = 5_000

/** The trigger, in seconds; visits come until `endS`. */
const trigger = { fromS: 60, toS: 70 }
const endS = 170

/**
 * Work of a request, 1 s in the mean: 0.1 s to the first token, then
 * exponential, cut at 4 s so that an idle provider can always answer within
 * one try.
 */
const traffic = {
  outputTokens: { kind: "exponential", mean: 90, min: 1, max: 390 },
  perTokenMs: 10,
  ttftMs: 100,
  inputTokens: 50,
  // Longer than p-retry needs for all its tries and pauses.
  patienceMs: 30_000,
  tenants: [{ name: "tenant", count: 10, ratePerS: ratePerS / 10 }]
} as const

const policy = (retry: PoliciesInput["retry"] = {}): PoliciesInput =>
  shipped({ timeouts: { firstTokenMs: tryMs }, retry: { processes, ...retry } })

/** For comparison: no bound on what is in flight and no breaker, so that the retry budget stands alone, or nothing at all. */
const onlyRetries = (retry: PoliciesInput["retry"] = {}): PoliciesInput => ({
  ...policy({ maxRetries: 3, ...retry }),
  timeouts: { firstTokenMs: tryMs, hardMs: traffic.patienceMs },
  bulkhead: { maxInFlight: 1_000_000 },
  breaker: { minimumCalls: 1_000_000 }
})

const baselines = {
  "p-retry": retrying({ provider, tryMs, jitter: false }),
  "p-retry-jitter": retrying({ provider, tryMs, jitter: true })
}

/** Whoever came so shortly before the trigger (s) met it too, and says nothing about how things usually are. */
const affectedS = 10

const storm: Case = {
  variant: "storm",
  about: "80 % load on 100 slots, 20 processes; 80 % of the capacity is gone for 10 s",
  scenario: () => ({
    name: "S1 storm",
    durationS: endS,
    processes,
    providers: {
      [provider]: {
        ...inOnePiece,
        concurrency: slots,
        abandoned: "continue",
        faults: [{ kind: "capacity", factor: 0.2, fromMs: trigger.fromS * 1_000, toMs: trigger.toS * 1_000 }]
      }
    },
    policies: {
      ballast: policy(),
      "only-budget": onlyRetries(),
      "only-retries": onlyRetries({ budgetRatio: 1, budgetMax: 1_000_000, budgetConcurrent: 1 })
    },
    traffic,
    marks: [{ name: "capacity -80 %", ...trigger }]
  }),
  baselines,
  figures: (run) => {
    const { seconds } = Tally.make(run.endings, run.calls, endS)
    return {
      goodput_ratio: Recovery.goodputRatio(seconds, trigger, affectedS) ?? 0,
      success_ratio: Figures.goodShare(run.endings),
      attempts_per_request: Figures.attemptsPerRequest(run, Figures.span(trigger.fromS, endS)),
      // Never: the whole time that was looked at.
      recovery_s: Recovery.recoveryS(seconds, trigger, affectedS) ?? endS - trigger.toS,
      ...Figures.rejectP99(run.endings),
      goodput_before_per_s: Figures.goodputPerS(run, Figures.span(10, trigger.fromS)),
      goodput_last_per_s: Figures.goodputPerS(run, Figures.span(endS - 60, endS))
    }
  },
  targets: [least("goodput_ratio", 0.95), most("recovery_s", 30), most("attempts_per_request", 1.15)],
  expected: {
    "p-retry": [most("goodput_ratio", 0.05)],
    "p-retry-jitter": [most("goodput_ratio", 0.05)]
  }
}

const transient: Case = {
  variant: "transient-2pct",
  about: "the same fleet and load, no trigger; 2 % of the calls fail, each by chance",
  scenario: () => ({
    name: "S1 transient failures",
    durationS: 120,
    processes,
    providers: {
      [provider]: {
        ...inOnePiece,
        concurrency: slots,
        abandoned: "continue",
        faults: [{ kind: "reject", probability: 0.02, status: 500 }]
      }
    },
    policies: { ballast: policy(), "no-retry": policy({ maxRetries: 0 }) },
    traffic
  }),
  baselines,
  figures: (run) => ({
    success_ratio: Figures.goodShare(run.endings),
    attempts_per_request: Figures.attemptsPerRequest(run, Figures.span(0, 121)),
    ...Figures.rejectP99(run.endings)
  }),
  targets: [least("success_ratio", 0.999), most("attempts_per_request", 1.15)]
}

/** The benchmark. */
export const bench: Bench = {
  name: "S1",
  title: "metastable storm",
  scale: "as defined: 80 requests/s on 100 slots of about 1 s",
  cases: [storm, transient],
  picture: {
    policies: ["ballast", "p-retry", "p-retry-jitter"],
    draw: ([first, ...others]) =>
      Svg.draw(
        Picture.make(
          first.scenario,
          `Answers in time by when they were asked for; ${slots} slots, ${processes} processes, seed ${first.seed}.`,
          [first, ...others].map((run) => ({
            policy: run.policy,
            group: "Answered in time, requests a second",
            seconds: Tally.make(run.endings, run.calls, endS).seconds
          })),
          Svg.steps
        )
      )
  }
}

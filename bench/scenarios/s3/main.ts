/**
 * S3, sustained overload: far more work than the provider can do, and answers
 * that nobody wants after 10 s. Whoever starts everything finishes little in
 * time; whoever serves a long queue in order serves those who have left.
 */
import { fanOut, fifo } from "../baselines/queueing.ts"
import { least, most } from "../harness/case.ts"
import type { Bench, Case } from "../harness/case.ts"
import { inOnePiece, provider, shipped } from "../harness/common.ts"
import * as Figures from "../harness/figures.ts"

const slots = 40
const processes = 4
const places = slots / processes
const deadlineMs = 10_000
const meanServiceS = 1

/** Measured from here (queues are full by then) until the last visit, in s. */
const fromS = 20
const endS = (quick: boolean) => (quick ? 50 : 70)

const overload = (times: number, floor: number): Case => ({
  variant: `${times}x`,
  about: `${times} times the work that 40 slots can do; answers are wanted within 10 s`,
  scenario: ({ quick }) => ({
    name: `S3 overload ${times}x`,
    durationS: endS(quick),
    processes,
    providers: { [provider]: { ...inOnePiece, concurrency: slots } },
    policies: {
      ballast: shipped({ timeouts: { hardMs: deadlineMs }, bulkhead: { maxInFlight: places } }),
      // Nobody knows the provider's limit: five times too high at the start, and learned.
      "ballast-adaptive": shipped({
        timeouts: { hardMs: deadlineMs },
        bulkhead: { maxInFlight: 5 * places, adaptive: true }
      })
    },
    traffic: {
      // First token 200 ms, then exponential with mean 0.8 s, cut at 4 s.
      outputTokens: { kind: "exponential", mean: 80, min: 1, max: 400 },
      perTokenMs: 10,
      ttftMs: { kind: "lognormal", median: 190, sigma: 0.3 },
      inputTokens: 100,
      patienceMs: deadlineMs,
      tenants: [{ name: "tenant", count: 10, ratePerS: (times * slots) / meanServiceS / 10 }]
    }
  }),
  baselines: {
    "fan-out": fanOut({ provider }),
    "p-limit": fifo({ provider, places })
  },
  figures: (run) => {
    const when = Figures.span(fromS, run.scenario.durationS)
    const sent = Figures.sentIn(run, when)
    const meanMs = run.visits.reduce((sum, { serviceMs }) => sum + serviceMs, 0) / Math.max(1, run.visits.length)
    const capacityPerS = (slots * 1_000) / meanMs
    return {
      goodput_ratio: Figures.goodputPerS(run, when) / capacityPerS,
      success_ratio: Figures.goodShare(sent),
      attempts_per_request: Figures.attemptsPerRequest(run, when),
      late_ratio: Figures.lateRatio(sent),
      ...Figures.rejectP99(sent),
      capacity_per_s: capacityPerS
    }
  },
  targets: [least("goodput_ratio", floor), most("late_ratio", 0.02), most("reject_p99_ms", 50)]
})

/** The benchmark. */
export const bench: Bench = {
  name: "S3",
  title: "sustained overload",
  scale: "40 slots of about 1 s in 4 processes: 80 and 400 requests/s",
  cases: [overload(2, 0.9), overload(10, 0.85)]
}

/**
 * S10, hedging: one call in twenty is ten times as slow for no reason, and a
 * second call for a late first token saves the wait (Dean and Barroso, "The
 * Tail at Scale", CACM 2013). When everything becomes slow, a second call saves
 * nothing and costs what there is too little of.
 */
import { promiseAny } from "../baselines/racing.ts"
import { most } from "../harness/case.ts"
import type { Bench, Case, Figures as AllFigures, Run } from "../harness/case.ts"
import { provider, shipped } from "../harness/common.ts"
import * as Figures from "../harness/figures.ts"

const processes = 2
const fromS = 60

const traffic = {
  stream: true,
  inputTokens: { kind: "lognormal", median: 120, sigma: 0.5, max: 600 },
  outputTokens: { kind: "lognormal", median: 200, sigma: 0.5, max: 800 },
  ttftMs: { kind: "lognormal", median: 400, sigma: 0.3 },
  perTokenMs: 10,
  patienceMs: 120_000,
  tenants: [{ name: "tenant", count: 10, ratePerS: 2 }]
} as const

const straggler = { probability: 0.05, factor: 10 }

/** Figures beside the run that hedges nothing. */
const compare =
  (when: Figures.Span) =>
  async (run: Run, again: (policy: string) => Promise<Run>): Promise<AllFigures> => {
    const plain = run.policy === "unhedged" ? run : await again("unhedged")
    const p99 = Figures.ttftP99(Figures.sentIn(run, when))
    return {
      success_ratio: Figures.goodShare(run.endings),
      attempts_per_request: run.calls.length / Math.max(1, run.visits.length),
      extra_cost_ratio: Figures.billedTokens(run) / Figures.billedTokens(plain),
      ttft_p99_ms: p99,
      ttft_p99_vs_unhedged: p99 / Figures.ttftP99(Figures.sentIn(plain, when))
    }
  }

/** The places of a process are no bound here: the provider has room for all. */
const policies = {
  ballast: shipped({ bulkhead: { maxInFlight: 200 }, retry: { processes }, hedge: { enabled: true } }),
  unhedged: shipped({ bulkhead: { maxInFlight: 200 }, retry: { processes } })
}

const stragglers: Case = {
  variant: "stragglers",
  about: "streams; 5 % of the calls take ten times as long",
  scenario: ({ quick }) => ({
    name: "S10 stragglers",
    durationS: quick ? 150 : 240,
    processes,
    providers: { [provider]: { tokensPerChunk: 20, straggler } },
    policies,
    traffic
  }),
  baselines: { "promise-any": promiseAny({ provider }) },
  figures: compare(Figures.span(fromS, Infinity)),
  targets: [most("ttft_p99_vs_unhedged", 0.6), most("extra_cost_ratio", 1.03)]
}

const slowdown: Case = {
  variant: "slowdown",
  about: "the same, and for a minute everything takes five times as long",
  scenario: () => ({
    name: "S10 slowdown",
    durationS: 180,
    processes,
    providers: {
      [provider]: {
        tokensPerChunk: 20,
        straggler,
        faults: [
          { kind: "brownout", factor: 5, fromMs: fromS * 1_000, toMs: 2 * fromS * 1_000 },
          { kind: "slow-drip", factor: 5, fromMs: fromS * 1_000, toMs: 2 * fromS * 1_000 }
        ]
      }
    },
    policies,
    traffic,
    marks: [{ name: "all x5", fromS, toS: 2 * fromS }]
  }),
  baselines: { "promise-any": promiseAny({ provider }) },
  figures: compare(Figures.span(fromS, 2 * fromS)),
  targets: [most("extra_cost_ratio", 1.05)]
}

/** The benchmark. */
export const bench: Bench = {
  name: "S10",
  title: "hedging",
  scale: "20 streams/s in 2 processes, as defined",
  cases: [stragglers, slowdown]
}

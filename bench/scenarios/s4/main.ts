/**
 * S4, the whale: one tenant asks for three times what the provider can do, and
 * many small ones ask for little. First come, first served gives everybody the
 * whale's share of refusals; a fair queue gives the small ones all they ask
 * for, and the whale the rest. First with made-up tenants, then with the rates
 * of recorded services.
 */
import { fifo } from "../baselines/queueing.ts"
import { least } from "../harness/case.ts"
import type { Bench, Case, Figures as AllFigures, Run, Target } from "../harness/case.ts"
import { inOnePiece, provider, shipped } from "../harness/common.ts"
import * as Figures from "../harness/figures.ts"
import * as Bars from "./bars.ts"
import * as Replay from "./replay.ts"
import * as Shares from "./shares.ts"
import * as Trace from "./trace.ts"

const slots = 40
const processes = 4
const places = slots / processes
const deadlineMs = 8_000

/** As long as leaves time for most answers. */
const longestWaitMs = 5_500

const durationS = (quick: boolean) => (quick ? 80 : 140)

/** The first seconds fill the queues and are not looked at. */
const warmUpS = 20

const policies = { ballast: shipped({ bulkhead: { maxInFlight: places, maxWaitMs: longestWaitMs } }) }

const firstComeFirstServed = { "p-limit": fifo({ provider, places }) }

const baselines = {
  ...firstComeFirstServed,
  // As long a queue as Ballast's.
  "p-limit-bounded": fifo({ provider, places, maxQueue: 64 })
}

const targets: ReadonlyArray<Target> = [
  least("small_tenant_success", 0.98),
  least("jain", 0.97),
  least("whale_leftover", 0.9)
]

/** What all variants have in common. */
const base = { processes, providers: { [provider]: { ...inOnePiece, concurrency: slots } }, policies }

/** Fair shares are worked out for so long at a time: as long as a window of the recordings is played. */
const windowMs = 20_000

const windowsOf = (run: Run) =>
  Shares.windows(run.endings, Figures.span(warmUpS, run.scenario.durationS), windowMs, slots)

const figures = (run: Run, whaleName: string): AllFigures => {
  const sent = Figures.sentIn(run, Figures.span(warmUpS, run.scenario.durationS))
  return {
    success_ratio: Figures.goodShare(sent),
    late_ratio: Figures.lateRatio(sent),
    ...Figures.rejectP99(sent),
    ...Shares.figures(windowsOf(run), whaleName, slots * windowMs)
  }
}

const whale: Case = {
  variant: "whale",
  about: "one tenant at 3 times the capacity, 19 at 2 % of it each",
  scenario: ({ quick }) => ({
    name: "S4 whale",
    durationS: durationS(quick),
    ...base,
    traffic: {
      outputTokens: { kind: "exponential", mean: 80, min: 1, max: 400 },
      perTokenMs: 10,
      ttftMs: { kind: "lognormal", median: 190, sigma: 0.3 },
      inputTokens: 100,
      patienceMs: deadlineMs,
      tenants: [
        { name: "whale", ratePerS: 3 * slots },
        { name: "small", count: 19, ratePerS: 0.02 * slots }
      ]
    }
  }),
  baselines,
  figures: (run) => figures(run, "whale"),
  targets
}

/** Seven windows of ten minutes, 20 s each; the first fills the queues. */
const replayed = (recording: Trace.Recording, seed: number, quick: boolean) =>
  Replay.tenants(recording, {
    seed,
    slots,
    windows: quick ? 4 : 7,
    durationS: durationS(quick),
    meanServiceMs: 1_000,
    maxServiceMs: 4_000,
    maxWhalePerS: 150
  })

const recorded = (recording: Trace.Recording): Case => ({
  variant: `servegen-${recording.model}`,
  about: "70 minutes of a recorded service: its whale at up to 3 times the capacity, all others at two thirds of it",
  scenario: ({ quick, seed }) => ({
    name: `S4 ${recording.model}`,
    durationS: durationS(quick),
    ...base,
    traffic: { patienceMs: deadlineMs, tenants: replayed(recording, seed, quick).tenants }
  }),
  baselines: firstComeFirstServed,
  figures: (run) => figures(run, replayed(recording, run.seed, run.scenario.durationS < durationS(false)).whale),
  targets
})

const found = Trace.find()

const cases = [whale, ...(found?.recordings ?? []).map(recorded)]

/** The whale first, then the small ones by their numbers. */
const orderOf = ({ tenant }: Shares.Share): number => (tenant === "whale" ? 0 : Number(tenant.slice("small-".length)))

/** The benchmark. */
export const bench: Bench = {
  name: "S4",
  title: "whale",
  scale: "40 slots of about 1 s in 4 processes: 120 requests/s of the whale, 0.8 of each small tenant",
  cases,
  ...(cases.length > 1
    ? {}
    : {
        notice:
          "No recorded tenants here: BALLAST_DATA names a folder with traces/*/servegen_*_tenant_rates.csv. Only the made-up whale is played."
      }),
  picture: {
    policies: ["ballast", "p-limit-bounded", "p-limit"],
    draw: (runs) =>
      Bars.draw(
        "S4: one tenant asks for three times what there is",
        `Share of each tenant's requests that were answered in time (dashed: its max-min fair share), seed ${runs[0].seed}.`,
        "whale",
        runs.map((run) => ({
          policy: run.policy,
          shares: Shares.total(windowsOf(run)).toSorted((a, b) => orderOf(a) - orderOf(b))
        }))
      )
  }
}

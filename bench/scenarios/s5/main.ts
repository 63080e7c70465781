/**
 * S5, a provider that goes away: for a minute, for an hour, not at all but so
 * slowly that it is no use, or again and again. Another provider is well all
 * the time. Whoever notices late burns requests; whoever asks too often whether
 * it is back burns more.
 */
import { cockatiel, opossum } from "../baselines/breaking.ts"
import { least, most } from "../harness/case.ts"
import type { Bench, Case, Target } from "../harness/case.ts"
import { shipped } from "../harness/common.ts"
import * as Figures from "../harness/figures.ts"
import * as Breakers from "./breakers.ts"

type Faults = NonNullable<ReturnType<Case["scenario"]>["providers"][string]["faults"]>

const processes = 2
const primary = "primary"
const secondary = "secondary"

/** What an answer may take: the shipped limit of a whole answer, or of a stream's way to its first token. */
const deadlineMs = 8_000

const downFromS = 60

const targets: ReadonlyArray<Target> = [
  most("unseen", 0),
  most("dead_calls_excess", 0),
  least("success_ratio", 0.99),
  most("close_open_periods", 1),
  most("stale_transitions", 0)
]

interface Setup {
  readonly variant: string
  readonly about: string
  readonly ratePerS: number
  readonly faults: Faults
  /** When the provider is down, in s. */
  readonly downs: ReadonlyArray<readonly [fromS: number, toS: number]>
  /** Long enough afterwards for the longest open period to end. */
  readonly durationS: number
  readonly stream?: boolean
}

const made = ({ about, downs, durationS, faults, ratePerS, stream = false, variant }: Setup): Case => {
  const spans = downs.map(([from, to]) => Figures.span(from, to))
  const all = { fromMs: spans[0]?.fromMs ?? 0, toMs: spans.at(-1)?.toMs ?? 0 }
  const tryMs = 6_000
  const libraries = { primary, fallback: secondary, tryMs }
  return {
    variant,
    about,
    scenario: () => ({
      name: `S5 ${variant}`,
      durationS,
      processes,
      providers: {
        [primary]: { tokensPerChunk: 100, errorMs: 50, faults },
        [secondary]: { tokensPerChunk: 100 }
      },
      policies: {
        // The places of a process are no bound here: both providers have room for all.
        ballast: shipped({ bulkhead: { maxInFlight: 200 }, retry: { processes } })
      },
      traffic: {
        stream,
        inputTokens: 100,
        outputTokens: { kind: "lognormal", median: 60, sigma: 0.4, max: 300 },
        ttftMs: { kind: "lognormal", median: 300, sigma: 0.3 },
        perTokenMs: 10,
        patienceMs: stream ? deadlineMs + 10_000 : deadlineMs,
        tenants: [{ name: "tenant", count: 10, ratePerS: ratePerS / 10 }]
      },
      marks: downs.map(([fromS, toS]) => ({ name: "down", fromS, toS }))
    }),
    baselines: {
      "cockatiel-consecutive": cockatiel({ ...libraries, breaker: "consecutive" }),
      "cockatiel-sampling": cockatiel({ ...libraries, breaker: "sampling" }),
      opossum: opossum(libraries)
    },
    figures: (run) => {
      const sent = Figures.sentIn(run, all)
      return {
        success_ratio: Figures.goodShare(sent),
        attempts_per_request: Figures.attemptsPerRequest(run, all),
        ...Figures.rejectP99(sent),
        ttft_p99_ms: Figures.ttftP99(sent),
        ...Breakers.figures(run, primary, spans)
      }
    },
    targets
  }
}

const outage = (variant: string, about: string, ratePerS: number, lengthS: number): Case =>
  made({
    variant,
    about,
    ratePerS,
    faults: [{ kind: "outage", fromMs: downFromS * 1_000, toMs: (downFromS + lengthS) * 1_000 }],
    downs: [[downFromS, downFromS + lengthS]],
    durationS: downFromS + lengthS + 120
  })

const flappingToS = 180
const flapping = made({
  variant: "flapping",
  about: "the first provider is down for 5 s and up for 5 s, for two minutes",
  ratePerS: 80,
  faults: [{ kind: "flapping", periodMs: 10_000, fromMs: downFromS * 1_000, toMs: flappingToS * 1_000 }],
  downs: Array.from(
    { length: (flappingToS - downFromS) / 10 },
    (_, index) => [downFromS + 10 * index, downFromS + 10 * index + 5] as const
  ),
  durationS: flappingToS + 120
})

const brownout = made({
  variant: "brownout",
  about: "streams; the first provider's first tokens take ten times as long for a minute, and nothing fails",
  ratePerS: 80,
  faults: [{ kind: "brownout", factor: 10, fromMs: downFromS * 1_000, toMs: (downFromS + 60) * 1_000 }],
  downs: [[downFromS, downFromS + 60]],
  durationS: downFromS + 60 + 120,
  stream: true
})

/** The benchmark. */
export const bench: Bench = {
  name: "S5",
  title: "outage",
  scale: "80 requests/s in 2 processes; 8 requests/s for the hour",
  cases: [
    outage("outage-60s", "the first provider answers 503 for a minute", 80, 60),
    outage("outage-60min", "the first provider answers 503 for an hour", 8, 3_600),
    brownout,
    flapping
  ]
}

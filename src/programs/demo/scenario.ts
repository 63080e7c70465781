/**
 * The incident: a provider whose limit is a quarter above the mean load and
 * below its bursts, which first becomes slow and later goes away for a moment.
 * Everything else (users, their patience, the price of a token) is the same for
 * both sides; both see a provider of their own with the same options and seed.
 *
 * Only the morning is compressed. Latencies, patience and all pauses of the
 * libraries are real time.
 */
import type { BallastConfigInput } from "../../domain/config-file.ts"
import * as Default from "../../domain/config-default.ts"
import type { SimOptionsInput } from "../../layers/provider/sim/options.ts"
import * as Traffic from "./traffic.ts"

/** What to play. */
export interface Options {
  readonly requests: number
  readonly seed: number
  readonly fast: boolean
}

/** A part of the incident, in ms after the start. */
export interface Phase {
  readonly name: "brownout" | "outage"
  readonly fromMs: number
  readonly toMs: number
}

/** The incident in numbers. */
export interface Scenario {
  readonly seed: number
  readonly visits: ReadonlyArray<Traffic.Visit>
  /** From the first question to the last. */
  readonly durationMs: number
  /** A user without the whole answer after so long leaves. */
  readonly patienceMs: number
  readonly phases: ReadonlyArray<Phase>
  readonly provider: SimOptionsInput
  readonly config: (baseUrl: string) => BallastConfigInput
  /** The provider's limit in requests a second, and from how many calls in flight it slows down. */
  readonly limit: { readonly perSecond: number; readonly concurrency: number }
}

/** The model both sides ask for. */
export const model = Default.models[0]

/** Mean time of an answer on a good day: first token 0.43 s, 72 tokens of 16 ms. For Little's law. */
const answerS = 1.56

const tokensOf = ({ outputTokens, prompt }: Traffic.Visit) => Math.ceil(prompt.length / 4) + outputTokens

/** The scenario of a size. A fast one has half of the users in a quarter of the time. */
export const make = ({ fast, requests: asked, seed }: Options): Scenario => {
  const requests = fast ? Math.max(1, Math.round(asked / 2)) : asked
  const durationMs = fast ? 8_000 : 32_000
  const patienceMs = fast ? 3_500 : 10_000
  const visits = Traffic.make({ seed, requests, durationMs })
  const perSecond = Math.max(2, ((fast ? 1.1 : 1.2) * requests * 1000) / durationMs)
  const tokens = visits.reduce((sum, visit) => sum + tokensOf(visit), 0) / visits.length
  const inFlight = Math.max(2, Math.round(perSecond * answerS))
  const concurrency = Math.ceil(inFlight * 1.2)
  const phases: ReadonlyArray<Phase> = [
    { name: "brownout", fromMs: 0.2 * durationMs, toMs: 0.28 * durationMs },
    { name: "outage", fromMs: 0.34 * durationMs, toMs: (fast ? 0.48 : 0.43) * durationMs }
  ]
  const [brownout, outage] = phases
  return {
    seed,
    visits,
    durationMs,
    patienceMs,
    phases,
    limit: { perSecond, concurrency },
    provider: {
      seed,
      ttft: { medianMs: 400, sigma: 0.4 },
      perToken: { medianMs: 15, sigma: 0.3 },
      tokensPerChunk: 4,
      rpm: Math.round(perSecond * 60),
      tpm: Math.round(perSecond * 60 * tokens * 1.2),
      burstMs: 1_000,
      refusedCount: true,
      errorMs: 20,
      concurrency,
      faults: [
        { kind: "brownout", factor: 4, fromMs: brownout?.fromMs ?? 0, toMs: brownout?.toMs ?? 0 },
        { kind: "outage", status: 503, fromMs: outage?.fromMs ?? 0, toMs: outage?.toMs ?? 0 }
      ]
    },
    // The shipped defaults, and what an operator knows: the provider's limit, how patient users are, who the tenants are.
    config: (baseUrl) => ({
      server: { port: 0, adminPort: 0, trustProxy: true, drainMs: 0 },
      providers: {
        provider: {
          kind: "openai-compatible",
          baseUrl,
          bulkhead: {
            maxInFlight: inFlight,
            maxQueue: Math.round((perSecond * 0.4 * patienceMs) / 1000),
            maxWaitMs: 0.6 * patienceMs
          }
        }
      },
      models: [{ ...model, candidates: [`provider/${model.candidates[0].slice("sim/".length)}`] }],
      policies: {
        timeouts: { hardMs: Math.min(8_000, patienceMs) },
        // The fast incident is four times as short, and so is the time that a breaker stays open.
        ...(fast ? { breaker: { openMs: 1_250 } } : {}),
        rateLimits: { user: { requestsPerMinute: Math.ceil(requests * 0.04) } }
      }
    })
  }
}

/** What is on at `atMs`. */
export const phaseAt = (scenario: Scenario, atMs: number): Phase["name"] | "aftermath" | undefined =>
  scenario.phases.find(({ fromMs, toMs }) => fromMs <= atMs && atMs < toMs)?.name ??
  (atMs > scenario.durationMs ? "aftermath" : undefined)

const seconds = (ms: number) => Math.round(ms / 100) / 10

/** The scenario in two lines. */
export const describe = ({ durationMs, limit, patienceMs, phases, visits }: Scenario): ReadonlyArray<string> => [
  `${visits.length} users of ${Traffic.tenants.length} tenants in ${seconds(durationMs)} s, with two bursts and a batch job; each leaves without a whole answer after ${seconds(patienceMs)} s.`,
  `The provider takes ${seconds(limit.perSecond * 1000)} requests/s (mean load ${seconds((visits.length * 1e6) / durationMs)}), slows down beyond ${limit.concurrency} calls in flight, ${phases
    .map(({ fromMs, name, toMs }) => `${name} ${seconds(fromMs)}-${seconds(toMs)} s`)
    .join(", ")}.`
]

/**
 * A recording made into traffic: some consecutive windows, each played in a
 * few seconds, with rates scaled so that all tenants but the greatest need two
 * thirds of the provider, and the greatest (the whale) alone three times all
 * of it.
 *
 * Scaling keeps what is fair about the recording: a tenant's share of the
 * work, and how bursty it is. Fewer requests of a process are a thinned
 * process: with each request kept with chance p, the squared coefficient of
 * variation of a renewal process becomes p cv^2 + 1 - p.
 */
import type { ScenarioInput } from "../../../src/programs/simulate/scenario.ts"
import * as Random from "../../../src/layers/provider/sim/random.ts"
import type { Recording, Tokens, Window } from "./trace.ts"

/** What to make of it. */
export interface Options {
  readonly seed: number
  /** Places of the provider. */
  readonly slots: number
  /** Windows that are played, and for how long all of them together. */
  readonly windows: number
  readonly durationS: number
  /** Mean service time of the tenants that are not the whale, in ms. */
  readonly meanServiceMs: number
  /** Longer requests are cut to this. */
  readonly maxServiceMs: number
  /** Most requests of the whale a second. */
  readonly maxWhalePerS: number
}

/** Times the capacity: what the whale asks for, and what all others together ask for. */
const whaleLoad = 3
const othersLoad = 1 / 1.5

/** A whale that falls silent for seconds leaves the capacity to nobody: its bursts are cut at this. */
const mostWhaleCv = 3

/** Recorded length of a window, in s. */
const recordedS = 600

type Tenants = ScenarioInput["traffic"]["tenants"]
type Tenant = Tenants[number]

/** Log-normal through the median and the 90th percentile, cut at the 5th and the 99th. */
const lognormal = ({ p5, p50, p90, p99 }: Tokens) => ({
  median: p50,
  sigma: Math.log(p90 / p50) / 1.2816,
  min: p5,
  max: p99
})

/** The mean of such a distribution, cut at `most` too: the mean of 99 of its quantiles. */
const meanOf = (tokens: Tokens, most = Infinity): number => {
  const { max, median, min, sigma } = lognormal(tokens)
  const values = Array.from({ length: 99 }, (_, index) =>
    Math.min(most, max, Math.max(min, median * Math.exp(sigma * normalQuantile((index + 1) / 100))))
  )
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** Quantile of the standard normal distribution, to about 4e-4 (Abramowitz and Stegun, 26.2.23). */
const normalQuantile = (q: number): number => {
  const p = Math.min(q, 1 - q)
  const t = Math.sqrt(-2 * Math.log(p))
  const z =
    t - (2.515517 + 0.802853 * t + 0.010328 * t * t) / (1 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t * t * t)
  return q < 0.5 ? -z : z
}

/** Consecutive windows, from one that the seed picks. */
const pick = (recording: Recording, count: number, seed: number): ReadonlyArray<Window> => {
  const { windows } = recording
  const random = Random.make(seed, Random.hash(recording.model), 41)
  const first = Math.floor(random() * Math.max(1, windows.length - count + 1))
  return windows.slice(first, first + count)
}

/** Mean work of a tenant's request: its tokens, of prompt and answer. */
const tokensOf = (recording: Recording, tenant: string): number => {
  const { input, output } = recording.sizeOf(tenant)
  return meanOf(input) + meanOf(output)
}

/** Work (tokens) a second of each tenant over some windows. */
const workOf = (recording: Recording, windows: ReadonlyArray<Window>): ReadonlyMap<string, number> => {
  const work = new Map<string, number>()
  for (const { arrivals } of windows) {
    for (const { ratePerS, tenant } of arrivals) {
      work.set(tenant, (work.get(tenant) ?? 0) + (ratePerS * tokensOf(recording, tenant)) / windows.length)
    }
  }
  return work
}

const nameOf = (tenant: string) => `t-${tenant.replace(/[^A-Za-z0-9._-]/gu, "-")}`

/** The tenants of a scenario. The provider takes as long for a token of a prompt as for one of an answer. */
export const tenants = (
  recording: Recording,
  options: Options
): { readonly whale: string; readonly tenants: Tenants } => {
  const windows = pick(recording, options.windows, options.seed)
  const windowS = options.durationS / windows.length
  const [whale = ""] = [...workOf(recording, windows)].toSorted(([, a], [, b]) => b - a)[0] ?? []
  const others = windows.flatMap(({ arrivals }) => arrivals.filter(({ tenant }) => tenant !== whale))
  // ms for a token, so that a request of the others takes `meanServiceMs` in the mean.
  const requests = others.reduce((sum, { ratePerS }) => sum + ratePerS, 0)
  const work = others.reduce((sum, { ratePerS, tenant }) => sum + ratePerS * tokensOf(recording, tenant), 0)
  const perTokenMs = work === 0 ? 1 : (options.meanServiceMs * requests) / work
  // Half of the longest service for the prompt, half for the answer.
  const mostTokens = Math.max(1, Math.floor(options.maxServiceMs / 2 / perTokenMs))
  const serviceOf = (tenant: string) => {
    const { input, output } = recording.sizeOf(tenant)
    const inputMs = perTokenMs * meanOf(input, mostTokens)
    return { inputMs, ms: inputMs + perTokenMs * meanOf(output, mostTokens) }
  }
  const loadOf = (arrivals: Window["arrivals"]) =>
    arrivals.reduce((sum, { ratePerS, tenant }) => sum + (ratePerS * serviceOf(tenant).ms) / 1_000, 0) / windows.length
  const whales = windows.flatMap(({ arrivals }) => arrivals.filter(({ tenant }) => tenant === whale))
  const scale = (load: number, wanted: number) => (load > 0 ? (wanted * options.slots) / load : 0)
  const othersScale = scale(loadOf(others), othersLoad)
  const whaleRate = whales.reduce((sum, { ratePerS }) => sum + ratePerS, 0) / windows.length
  const whaleScale = Math.min(scale(loadOf(whales), whaleLoad), options.maxWhalePerS / Math.max(whaleRate, 1e-9))

  const list = windows.flatMap(({ arrivals }, index) =>
    arrivals.map(({ cv, ratePerS, tenant }): Tenant => {
      const factor = tenant === whale ? whaleScale : othersScale
      const kept = Math.min(1, (factor * windowS) / recordedS)
      const { input, output } = recording.sizeOf(tenant)
      const size = (tokens: Tokens) => {
        const { max, ...rest } = lognormal(tokens)
        return {
          kind: "lognormal",
          ...rest,
          min: Math.min(rest.min, mostTokens),
          max: Math.min(max, mostTokens)
        } as const
      }
      return {
        name: nameOf(tenant),
        ratePerS: ratePerS * factor,
        cv: Math.min(Math.sqrt(kept * cv * cv + 1 - kept), tenant === whale ? mostWhaleCv : Infinity),
        fromS: index * windowS,
        toS: (index + 1) * windowS,
        inputTokens: size(input),
        outputTokens: size(output),
        // Of one length for each tenant: what its prompts take in the mean.
        ttftMs: serviceOf(tenant).inputMs,
        perTokenMs
      }
    })
  )
  const [first, ...rest] = list
  if (first === undefined) throw new Error(`no arrivals in the recording of ${recording.model}`)
  return { whale: nameOf(whale), tenants: [first, ...rest] }
}

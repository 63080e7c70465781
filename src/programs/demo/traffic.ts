/**
 * The recorded traffic of the demo: Monday morning, written down once and
 * played to both sides. A ramp, two bursts, five tenants, and one of them (the
 * whale) that lets a batch job loose in the middle of it.
 *
 * Same seed and size: the same users ask the same questions at the same times.
 */
import * as Random from "../../layers/provider/sim/random.ts"

/** One user with one question. */
export interface Visit {
  readonly id: number
  /** ms after the start. */
  readonly atMs: number
  readonly tenant: string
  readonly user: string
  readonly prompt: string
  /** How long the answer is, in tokens: the same whoever asks and however often. */
  readonly outputTokens: number
}

/** The tenant with the batch job. */
export const whale = "whale"

/** Everybody who has a key. */
export const tenants: ReadonlyArray<string> = ["acme", "borealis", "cobalt", "dune", whale]

/** What to generate. `durationMs` is from the first question to the last. */
export interface Options {
  readonly seed: number
  readonly requests: number
  readonly durationMs: number
}

/** Arrivals over time: from share `from` of the duration on, `weight` times the usual rate. */
const profile = [
  { from: 0, weight: 0.35 },
  { from: 0.08, weight: 0.7 },
  { from: 0.16, weight: 1 },
  { from: 0.56, weight: 2 },
  { from: 0.62, weight: 1 },
  { from: 0.84, weight: 2 },
  { from: 0.88, weight: 1 },
  { from: 1, weight: 0 }
] as const

/** The whale's share of all requests, and when its batch runs. */
const batch = { share: 0.1, from: 0.7, to: 0.76 } as const

/** All visits in the order of their times. */
export const make = ({ durationMs, requests, seed }: Options): ReadonlyArray<Visit> => {
  const random = Random.make(seed, 1, 9)
  const batched = Math.round(requests * batch.share)
  const moments = Array.from({ length: requests }, (_, index) =>
    index < batched
      ? { tenant: whale, at: batch.from + random() * (batch.to - batch.from) }
      : { tenant: tenants[Math.floor(random() * (tenants.length - 1))] ?? whale, at: arrival(random()) }
  )
  moments.sort((a, b) => a.at - b.at)
  return moments.map(({ at, tenant }, id) => ({
    id,
    atMs: at * durationMs,
    tenant,
    user: tenant === whale ? "batch-job" : `${tenant}-${Math.floor(random() * 40)}`,
    prompt: prompt(random, id),
    outputTokens: Math.min(400, Math.max(8, Math.round(Random.logNormal(random, 60, 0.6))))
  }))
}

/** When, as a share of the duration, the share `quantile` of the profile's arrivals has come. */
const arrival = (quantile: number): number => {
  let left = quantile * profileMass
  for (let i = 0; i + 1 < profile.length; i++) {
    const { from, weight } = profile[i]!
    const mass = (profile[i + 1]!.from - from) * weight
    if (left <= mass) return from + left / weight
    left -= mass
  }
  return 1
}

const profileMass = profile.reduce(
  (sum, { from, weight }, i) => sum + ((profile[i + 1]?.from ?? from) - from) * weight,
  0
)

const subjects = ["the invoice of March", "my last delivery", "the new price list", "our return policy", "ticket 4711"]
const wishes = [
  "Summarise",
  "Explain in plain words",
  "Draft a friendly answer about",
  "Find the mistake in",
  "Translate"
]
const filler = "The customer wrote to us twice last week and has the attached correspondence in front of them. "

/** A support chat's prompt: a line of its own and some context, 30 to 400 tokens in all. */
const prompt = (random: Random.Random, id: number): string => {
  const wish = wishes[Math.floor(random() * wishes.length)]
  const subject = subjects[Math.floor(random() * subjects.length)]
  return `${wish} ${subject} (case ${id}). ${filler.repeat(1 + Math.floor(random() * 16))}`
}

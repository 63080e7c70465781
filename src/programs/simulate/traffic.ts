/**
 * The traffic of a scenario for a seed, written down before anybody answers
 * it: an open loop, so that a slow answer delays nobody's next question. Same
 * scenario and seed: the same visits, whatever policy they meet.
 *
 * Arrivals are a renewal process with Gamma distributed gaps: a coefficient of
 * variation of 1 is Poisson, more is bursty, 0 a clockwork. Each tenant draws
 * from a generator of its own, so that changing one changes no other.
 */
import type { ChatRequest } from "../../domain/chat.ts"
import * as Caller from "../../domain/caller.ts"
import * as Random from "../../layers/provider/sim/random.ts"
import * as Text from "../../layers/provider/sim/text.ts"
import { modelOf } from "./scenario.ts"
import type { Distribution, Scenario, Tenant } from "./scenario.ts"
import type { Visit } from "./visit.ts"

/** Characters of a token of input, by the simulated provider's own rule. */
const charsPerToken = 4

/** One draw. */
export const draw = (random: Random.Random, from: Distribution): number => {
  if (typeof from === "number") return from
  if (from.kind === "fixed") return from.value
  const value =
    from.kind === "exponential"
      ? -from.mean * Math.log(1 - random())
      : Random.logNormal(random, from.median, from.sigma)
  return Math.min(from.max ?? Infinity, Math.max(from.min ?? 0, value))
}

/** A Gamma draw of this shape and mean 1 (Marsaglia and Tsang, "A Simple Method for Generating Gamma Variables", TOMS 2000). */
export const gamma = (random: Random.Random, shape: number): number => {
  if (shape === 1) return -Math.log(1 - random())
  // Below 1 they draw one of shape + 1 and scale it by a power of a uniform.
  const boost = shape < 1 ? (1 - random()) ** (1 / shape) : 1
  const d = (shape < 1 ? shape + 1 : shape) - 1 / 3
  const c = 1 / Math.sqrt(9 * d)
  for (;;) {
    const x = Random.normal(random)
    const v = (1 + c * x) ** 3
    if (v > 0 && Math.log(1 - random()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return (boost * d * v) / shape
  }
}

/** The gaps of the process before its begin that are thrown away, so that it does not begin with an arrival. */
const settling = (cv: number) => 10 * (1 + cv * cv)

/** Arrival times in [fromMs, toMs), in ms. */
export const arrivals = (
  random: Random.Random,
  {
    cv,
    fromMs,
    ratePerS,
    toMs
  }: { readonly ratePerS: number; readonly cv: number; readonly fromMs: number; readonly toMs: number }
): Array<number> => {
  const times: Array<number> = []
  if (ratePerS <= 0) return times
  const meanMs = 1_000 / ratePerS
  // Gaps of a shape beyond this are equal to all but a hundredth, and the shape of none at all is infinite.
  const shape = 1 / (cv * cv)
  const gap = () => (shape > 10_000 ? meanMs : meanMs * gamma(random, shape))
  let at = fromMs - meanMs * (shape > 10_000 ? random() : settling(cv))
  for (at += gap(); at < toMs; at += gap()) if (at >= fromMs) times.push(at)
  return times
}

/** A visit's time, and its size where that was recorded. */
interface Arrival {
  readonly atMs: number
  readonly inputTokens?: number
  readonly outputTokens?: number
}

/** Recorded visits in [fromMs, toMs). */
const played = (recorded: NonNullable<Tenant["recorded"]>, fromMs: number, toMs: number): ReadonlyArray<Arrival> =>
  recorded.map(({ atS, ...size }) => ({ atMs: fromMs + atS * 1_000, ...size })).filter(({ atMs }) => atMs < toMs)

/** The tenants of an entry: one of its name, or `count` of them, numbered. */
const namesOf = ({ count, name }: Tenant): ReadonlyArray<string> =>
  count === undefined ? [name] : Array.from({ length: count }, (_, number) => `${name}-${number + 1}`)

/** Each tenant's entry by name: which tenants belong together. */
export const groups = ({ traffic }: Scenario): ReadonlyMap<string, string> =>
  new Map(traffic.tenants.flatMap((tenant) => namesOf(tenant).map((name) => [name, tenant.name] as const)))

interface Draft {
  readonly atMs: number
  readonly tenant: Tenant
  readonly caller: Caller.Caller
  readonly inputTokens: number
  readonly outputTokens: number
  readonly ttftMs: number
  readonly perTokenMs: number
}

const tokens = (value: number) => Math.max(1, Math.round(value))

/** Prose that all prompts are slices of, so that a long one costs nothing to make or to keep. */
const library = (chars: number): string => {
  const next = Text.prose(Random.make(20, 26, 11))
  let page = ""
  while (page.length < 16_384) page += next()
  return page.repeat(1 + Math.ceil(chars / page.length))
}

/** How far apart prompts may begin in the library. */
const shelf = 4_096

/** All visits of a scenario in the order of their times. */
export const make = (scenario: Scenario, seed: number): ReadonlyArray<Visit> => {
  const { durationS, traffic } = scenario
  const drafts = traffic.tenants.flatMap((tenant, entry) =>
    namesOf(tenant).flatMap((name) => {
      const random = Random.make(seed, Random.hash(name), 101 + entry)
      const caller = Caller.make(name, {
        plan: tenant.plan,
        feature: tenant.feature,
        critical: tenant.critical,
        priority: tenant.priority
      })
      const fromMs = tenant.fromS * 1_000
      const toMs = Math.min(tenant.toS ?? Infinity, durationS) * 1_000
      const drawn = (): ReadonlyArray<Arrival> =>
        arrivals(random, { ratePerS: tenant.ratePerS, cv: tenant.cv, fromMs, toMs }).map((atMs) => ({ atMs }))
      const came = tenant.recorded === undefined ? drawn() : played(tenant.recorded, fromMs, toMs)
      return came.map(({ atMs, inputTokens, outputTokens }): Draft => ({
        atMs,
        tenant,
        caller,
        inputTokens: tokens(inputTokens ?? draw(random, tenant.inputTokens ?? traffic.inputTokens)),
        outputTokens: tokens(outputTokens ?? draw(random, tenant.outputTokens ?? traffic.outputTokens)),
        ttftMs: draw(random, tenant.ttftMs ?? traffic.ttftMs),
        perTokenMs: draw(random, tenant.perTokenMs ?? traffic.perTokenMs)
      }))
    })
  )
  drafts.sort((a, b) => a.atMs - b.atMs)
  const longest = drafts.reduce((most, { inputTokens }) => Math.max(most, inputTokens), 0) * charsPerToken
  const text = library(longest + shelf)
  const model = traffic.model ?? modelOf(scenario)
  return drafts.map((draft, id): Visit => {
    const { atMs, caller, inputTokens, outputTokens, perTokenMs, tenant, ttftMs } = draft
    const begin = (id * 97) % shelf
    const maxTokens = tenant.maxTokens ?? traffic.maxTokens
    const stream = tenant.stream ?? traffic.stream
    const given = Math.min(outputTokens, maxTokens ?? Infinity)
    const chat: ChatRequest = {
      model: tenant.model ?? model,
      messages: [{ role: "user", content: text.slice(begin, begin + inputTokens * charsPerToken) }],
      ...(stream ? { stream } : {}),
      ...(maxTokens === undefined ? {} : { max_tokens: maxTokens }),
      sim: { ttftMs, perTokenMs, outputTokens }
    }
    return {
      id,
      atMs,
      caller,
      patienceMs: tenant.patienceMs ?? traffic.patienceMs,
      chat,
      inputTokens,
      outputTokens: given,
      serviceMs: ttftMs + (given - 1) * perTokenMs
    }
  })
}

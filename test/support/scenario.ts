/** Small scenarios, visits and endings for tests of the simulation. */
import { Effect } from "effect"
import * as Caller from "../../src/domain/caller.ts"
import type { Ending } from "../../src/programs/simulate/ending.ts"
import * as Scenario from "../../src/programs/simulate/scenario.ts"
import type { Visit } from "../../src/programs/simulate/visit.ts"

/** One tenant, one provider, Ballast as shipped; `more` replaces whole fields. */
export const small = (more: Partial<Scenario.ScenarioInput> = {}): Scenario.ScenarioInput => ({
  name: "small",
  durationS: 20,
  providers: { primary: { concurrency: 10, tokensPerChunk: 64 } },
  policies: { ballast: {} },
  traffic: { tenants: [{ name: "app", ratePerS: 5 }], ttftMs: 200, perTokenMs: 8, outputTokens: 50 },
  ...more
})

/** The same, read. */
export const scenario = (more: Partial<Scenario.ScenarioInput> = {}): Scenario.Scenario =>
  Effect.runSync(Scenario.fromUnknown(small(more)))

/** A visit that wants a second of the provider's time within ten. */
export const visit = (more: Partial<Visit> & { readonly tenant?: string } = {}): Visit => {
  const { tenant = "app", ...fields } = more
  return {
    id: 0,
    atMs: 0,
    caller: Caller.make(tenant),
    patienceMs: 10_000,
    chat: { model: "chat", messages: [{ role: "user", content: "Hello" }] },
    inputTokens: 2,
    outputTokens: 10,
    serviceMs: 1_000,
    ...fields
  }
}

/** How a visit ended: answered after a second, unless it says otherwise. */
export const ending = (of: Parameters<typeof visit>[0], more: Partial<Ending> = {}): Ending => ({
  visit: visit(of),
  kind: "answered",
  code: undefined,
  firstTokenMs: undefined,
  endedMs: 1_000,
  process: 0,
  ...more
})

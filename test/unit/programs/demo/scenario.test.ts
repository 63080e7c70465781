import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Options from "../../../../src/layers/provider/sim/options.ts"
import * as Config from "../../../../src/programs/config.ts"
import * as Scenario from "../../../../src/programs/demo/scenario.ts"

describe("scenario", () => {
  for (const fast of [false, true]) {
    const scenario = Scenario.make({ requests: 400, seed: 3, fast })

    it.effect(`${fast ? "fast" : "whole"}: the provider's options and Ballast's configuration can be read`, () =>
      Effect.gen(function* () {
        yield* Options.decode(scenario.provider)
        const config = yield* Config.fromUnknown(scenario.config("http://127.0.0.1:9100/v1"))
        assert.strictEqual(config.models[0]?.alias, Scenario.model.alias)
      })
    )

    it(`${fast ? "fast" : "whole"}: the provider's limit is above the mean load, and below the bursts`, () => {
      const mean = (scenario.visits.length * 1000) / scenario.durationMs
      assert.isAbove(scenario.limit.perSecond, mean)
      const inASecond = scenario.visits.map(
        ({ atMs }) => scenario.visits.filter((other) => atMs <= other.atMs && other.atMs < atMs + 1_000).length
      )
      assert.isBelow(scenario.limit.perSecond, Math.max(...inASecond))
    })
  }

  it("knows where in the incident a moment is", () => {
    const scenario = Scenario.make({ requests: 400, seed: 3, fast: false })
    const [brownout, outage] = scenario.phases
    assert.isUndefined(Scenario.phaseAt(scenario, 0))
    assert.strictEqual(Scenario.phaseAt(scenario, brownout?.fromMs ?? 0), "brownout")
    assert.strictEqual(Scenario.phaseAt(scenario, outage?.fromMs ?? 0), "outage")
    assert.strictEqual(Scenario.phaseAt(scenario, scenario.durationMs + 1), "aftermath")
  })

  it("describes itself in two lines", () => {
    assert.strictEqual(Scenario.describe(Scenario.make({ requests: 400, seed: 3, fast: false })).length, 2)
  })
})

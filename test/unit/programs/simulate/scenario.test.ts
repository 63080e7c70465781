import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { defaults } from "../../../../src/domain/policy.ts"
import * as Scenario from "../../../../src/programs/simulate/scenario.ts"
import { scenario, small } from "../../../support/scenario.ts"

/** Path, found and allowed of each problem. */
const problems = (input: unknown) =>
  Effect.runSync(Effect.flip(Scenario.fromUnknown(input, "storm.json"))).problems.map(({ allowed, found, path }) => [
    path,
    found,
    allowed
  ])

describe("scenario", () => {
  it("fills in what is left out", () => {
    const read = scenario()
    assert.deepInclude(read, { processes: 1, leaves: false, marks: [], description: "" })
    assert.deepInclude(read.traffic, { stream: false, patienceMs: 10_000, inputTokens: 200 })
    assert.deepInclude(read.traffic.tenants[0], { cv: 1, fromS: 0, plan: "standard", critical: true })
    assert.strictEqual(read.providers["primary"]?.abandoned, "stop")
    assert.strictEqual(Scenario.modelOf(read), "chat")
  })

  it("means Ballast's own policies with the scenario's over them", () => {
    const read = scenario({
      providers: { primary: {}, spare: {} },
      policies: {
        ballast: {},
        patient: { timeouts: { hardMs: 60_000 }, rateLimits: { global: { requestsPerMinute: null } } }
      }
    })
    const shipped = Effect.runSync(Scenario.configOf(read, "ballast"))
    assert.deepStrictEqual(shipped.policies, defaults)
    assert.deepStrictEqual(
      shipped.models.map(({ alias, candidates }) => [alias, candidates.map(({ provider }) => provider)]),
      [["chat", ["primary", "spare"]]]
    )
    const patient = Effect.runSync(Scenario.configOf(read, "patient"))
    assert.strictEqual(patient.policies.timeouts.hardMs, 60_000)
    assert.deepStrictEqual(patient.policies.rateLimits.global, {})
  })

  it("takes models as the configuration does", () => {
    const read = scenario({
      models: [{ alias: "large", candidates: ["primary/x"], price: { inputPerMillion: 1 } }]
    })
    assert.strictEqual(Scenario.modelOf(read), "large")
    assert.deepStrictEqual(
      problems(small({ models: [{ alias: "l", candidates: ["other/x"], price: { inputPerMillion: 1 } }] })),
      [["models[0].candidates[0]", '"other"', 'a defined provider: "primary"']]
    )
  })

  it("says everything that is wrong with a file at once, with paths", () => {
    const found = problems({
      ...small(),
      durationS: -1,
      procesess: 3,
      policies: { ballast: { retry: { maxRetrys: 2 } } },
      providers: { "bad name": {} },
      traffic: { tenants: [{ name: "app" }], ttftMs: { kind: "weird" } }
    })
    const paths = found.map(([path]) => path)
    for (const path of [
      "durationS",
      "procesess",
      "policies.ballast.retry.maxRetrys",
      'providers["bad name"]',
      "traffic.tenants[0].ratePerS"
    ]) {
      assert.include(paths, path)
    }
    assert.isTrue(paths.some((path) => path?.startsWith("traffic.ttftMs")))
  })

  it("checks that the parts fit together", () => {
    const tenant = { name: "app", ratePerS: 1 }
    assert.deepStrictEqual(problems(small({ providers: {}, policies: {} })), [
      ["providers", "no provider", "at least one simulated provider by name"],
      ["policies", "no policy", 'at least one by name, e.g. "ballast": {}']
    ])
    assert.deepStrictEqual(
      problems(
        small({
          traffic: {
            tenants: [tenant, { ...tenant, fromS: 9, toS: 3 }, { ...tenant, fromS: 20, model: "x" }],
            model: "y"
          },
          marks: [{ name: "trigger", fromS: 5, toS: 5 }]
        })
      ),
      [
        ["traffic.model", '"y"', 'a model\'s alias: "chat"'],
        ["traffic.tenants[1].toS", "3", "more than fromS, which is 9"],
        ["traffic.tenants[2].model", '"x"', 'a model\'s alias: "chat"'],
        ["traffic.tenants[2].fromS", "20", "less than durationS, which is 20"],
        ["marks[0].toS", "5", "more than fromS, which is 5"]
      ]
    )
  })

  it("names the policy whose values do not fit together", () => {
    const policies = { fine: {}, odd: { retry: { baseMs: 9_000, capMs: 10 } } }
    assert.deepStrictEqual(
      problems(small({ policies })).map(([path]) => path),
      ["policies.odd.retry.baseMs"]
    )
  })

  it("names its source", () => {
    const error = Effect.runSync(Effect.flip(Scenario.fromUnknown({}, "storm.json")))
    assert.match(error.message, /^storm\.json cannot be used/)
  })
})

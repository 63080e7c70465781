import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import * as Clients from "../../../../src/programs/demo/clients.ts"
import * as Sim from "../../../../src/programs/sim.ts"

const visit = { id: 1, atMs: 0, tenant: "acme", user: "acme-1", prompt: "hello", outputTokens: 12 }

const withSim = Effect.fnUntraced(function* (faults: ReadonlyArray<{ readonly kind: "outage" }>) {
  const packages = yield* Clients.packages
  const sim = yield* Sim.serve(
    { ttft: { medianMs: 1, sigma: 0 }, perToken: { medianMs: 0, sigma: 0 }, faults },
    { host: "127.0.0.1", port: 0 }
  )
  return { packages, sim, target: { baseUrl: `${sim.url}/v1`, model: "sim-large", keyOf: () => "key" } }
})

describe("clients", () => {
  it("says how to install what is missing", () => {
    const { message } = new Clients.MissingPackage({ packages: ["openai", "p-retry"] })
    assert.include(message, "npm install openai p-retry")
  })

  it.live("both read the whole answer of exactly the recorded length", () =>
    Effect.gen(function* () {
      const { packages, sim, target } = yield* withSim([])
      let firstTokens = 0
      for (const client of [Clients.naive, Clients.guarded]) {
        yield* client(packages, target)(visit, () => void firstTokens++)
      }
      assert.strictEqual(firstTokens, 2)
      const stats = yield* sim.control.stats
      assert.strictEqual(stats.finished, 2)
      assert.strictEqual(stats.generatedTokens, 24)
    })
  )

  it.live("the guarded client asks once and gives the reason; the naive one asks again", () =>
    Effect.gen(function* () {
      const { packages, sim, target } = yield* withSim([{ kind: "outage" }])
      const error = yield* Effect.flip(Clients.guarded(packages, target)(visit, () => {}))
      assert.isNotEmpty(error.code)
      assert.strictEqual((yield* sim.control.stats).calls, 1)
      const exit = yield* Effect.exit(
        Effect.timeoutOption(
          Clients.naive(packages, target)(visit, () => {}),
          "1200 millis"
        )
      )
      assert.isTrue(Exit.isSuccess(exit))
      assert.isAtLeast((yield* sim.control.stats).calls, 3)
    })
  )
})

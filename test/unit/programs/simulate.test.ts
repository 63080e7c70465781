import { assert, describe, it } from "@effect/vitest"
import { Clock, Console, Effect, FileSystem } from "effect"
import { simulate } from "../../../src/programs/simulate.ts"
import type { SimulateOptions } from "../../../src/programs/simulate.ts"
import { small } from "../../support/scenario.ts"

/** Run on files in memory, with a clock that moves on by `stepMs` whenever it is read. */
const run = (input: unknown, options: Partial<SimulateOptions> = {}, stepMs = 0) =>
  Effect.gen(function* () {
    const out: Array<string> = []
    const progress: Array<string> = []
    const written: Record<string, string> = {}
    const real = yield* Clock.Clock
    let now = 0
    yield* simulate({ file: "x.json", seeds: 1, policy: undefined, json: false, svg: undefined, ...options }).pipe(
      Effect.provideService(Console.Console, {
        ...globalThis.console,
        log: (text: string) => void out.push(text),
        error: (text: string) => void progress.push(text)
      }),
      Effect.provideService(Clock.Clock, {
        ...real,
        currentTimeMillisUnsafe: () => (now += stepMs),
        sleep: () => Effect.void
      }),
      Effect.provide(
        FileSystem.layerNoop({
          readFileString: () => Effect.succeed(JSON.stringify(input)),
          writeFileString: (path, text) => Effect.sync(() => void (written[path] = text))
        })
      )
    )
    return { out: out.join("\n"), progress, written }
  })

describe("simulate", () => {
  it.effect("shows groups of tenants apart, and the mean of several seeds", () =>
    Effect.gen(function* () {
      const tenants = [
        { name: "small", count: 3, ratePerS: 1 },
        { name: "whale", ratePerS: 5 }
      ] as const
      const { out, progress } = yield* run(small({ traffic: { tenants } }), { seeds: 2 })
      for (const text of ["small: visits", "whale: visits", "mean of seeds 1 to 2", "worst of 2", "Jain"]) {
        assert.include(out, text)
      }
      assert.deepStrictEqual(progress, [])
    })
  )

  it.effect("has one timeline where there is one group, and says where it is drawn", () =>
    Effect.gen(function* () {
      const { out, written } = yield* run(small({ description: "A sentence." }), { svg: "a.svg" })
      assert.match(out, /^small: A sentence\.\n1 process, \d+ visits in 20 s of virtual time, seed 1\n/)
      assert.include(out, "All visits")
      assert.include(out, "drawn in a.svg")
      assert.match(written["a.svg"] ?? "", /^<svg/)
    })
  )

  it.effect("tells of its progress when it takes its time, on stderr", () =>
    Effect.gen(function* () {
      const { out, progress } = yield* run(small(), { json: true }, 100)
      assert.isAbove(progress.length, 1)
      for (const line of progress) assert.match(line, /^run 1 of 1 \(ballast, seed 1\): second \d+ of 20$/)
      assert.deepInclude(JSON.parse(out), { policy: "ballast", seed: 1 })
    })
  )

  it.effect("knows no other policies than the scenario's", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(run(small(), { policy: "balast" }))
      assert.include(error.message, 'did you mean "ballast"?')
    })
  )
})

import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Redacted } from "effect"
import * as Secrets from "../../../../src/programs/config/secrets.ts"

const read = (root: unknown, values: Record<string, string> = {}) =>
  Secrets.read(root).pipe(Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(values))))

const keys = (...names: ReadonlyArray<string>) => ({
  auth: { keys: names.map((env) => ({ key: { env }, tenant: "t" })) }
})
const provider = (rest: object) => ({ providers: { p: { kind: "openai", ...rest } } })

describe("read", () => {
  it.effect("reveals what the file refers to, without the white space around it", () =>
    Effect.gen(function* () {
      const root = {
        ...keys("A"),
        ...provider({ apiKey: { env: "B" }, headers: { "x-a": { env: "C" }, "x-b": "plain" } })
      }
      const { problems, reveal } = yield* read(root, { A: "a-value\n", B: " b-value", C: "c value" })
      assert.deepStrictEqual(problems, [])
      assert.deepStrictEqual(
        ["A", "B", "C"].map((env) => Redacted.value(reveal({ env }))),
        ["a-value", "b-value", "c value"]
      )
      assert.strictEqual(Redacted.value(reveal({ env: "NEVER" })), "")
    })
  )

  it.effect("names every reference whose variable is not set, or is empty", () =>
    Effect.gen(function* () {
      const root = { ...keys("A"), ...provider({ apiKey: { env: "B" }, headers: { "x-a": { env: "C" } } }) }
      const { problems } = yield* read(root, { B: " \n" })
      assert.deepStrictEqual(
        problems.map(({ path }) => path),
        ["auth.keys[0].key", "providers.p.apiKey", "providers.p.headers.x-a"]
      )
      assert.include(problems[0]?.found, "A is not set")
    })
  )

  it.effect("refuses one value for two keys, and values that no header carries, and shows neither", () =>
    Effect.gen(function* () {
      const twice = yield* read(keys("A", "B", "C"), { A: "s3cret", B: "other", C: "s3cret " })
      assert.deepStrictEqual(
        twice.problems.map(({ found, path }) => [path, found]),
        [["auth.keys[2].key", "the same value as auth.keys[0].key"]]
      )
      for (const value of ["s3cret\nx-evil: 1", "s3crèt", "s3cret\u0000", "s3cret  x"]) {
        const { problems } = yield* read(provider({ apiKey: { env: "A" } }), { A: value })
        assert.strictEqual(problems[0]?.path, "providers.p.apiKey", JSON.stringify(value))
        assert.notInclude(JSON.stringify(problems), "s3c")
      }
    })
  )

  it.effect("two providers may share a key", () =>
    Effect.gen(function* () {
      const apiKey = { env: "A" }
      const { problems } = yield* read({ providers: { p: { apiKey }, q: { apiKey } } }, { A: "a" })
      assert.deepStrictEqual(problems, [])
    })
  )

  it.effect("leaves whatever has another shape to the check of shapes", () =>
    Effect.gen(function* () {
      for (const root of [
        null,
        [],
        "text",
        { auth: 1, providers: [] },
        { auth: { keys: {} } },
        provider({ apiKey: "sk-literal", headers: null }),
        provider({ apiKey: { env: "not a name" } }),
        provider({ apiKey: { env: 7 } })
      ]) {
        assert.deepStrictEqual((yield* read(root)).problems, [], JSON.stringify(root))
      }
    })
  )
})

describe("skipped", () => {
  it("is empty, and nothing is missing", () => {
    assert.deepStrictEqual(Secrets.skipped.problems, [])
    assert.strictEqual(Redacted.value(Secrets.skipped.reveal({ env: "ANY" })), "")
  })
})

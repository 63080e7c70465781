/** What fits together and what does not; the whole table of messages is in `config.test.ts`. */
import { assert, describe, it } from "vitest"
import { Schema } from "effect"
import { Config } from "../../../../src/domain/config-file.ts"
import type { BallastConfigInput } from "../../../../src/domain/config-file.ts"
import { check, isLoopback } from "../../../../src/programs/config/check.ts"

const decode = Schema.decodeSync(Config)
const price = { inputPerMillion: 1 }
const base: BallastConfigInput = {
  providers: { p: { kind: "openai-compatible", baseUrl: "http://h/v1" } },
  models: [{ alias: "m", candidates: ["p/x"], price }]
}
const problems = (changes: BallastConfigInput) => check(decode({ ...base, ...changes }))
const paths = (changes: BallastConfigInput) => problems(changes).map(({ path }) => path)

describe("isLoopback", () => {
  it.each(["localhost", "127.0.0.1", "127.8.9.10", "::1", "[::1]"])("%s is", (host) => assert.isTrue(isLoopback(host)))
  it.each(["0.0.0.0", "::", "10.0.0.1", "127.0.0.1.evil.test", "1127.0.0.1", "localhost.evil.test", ""])(
    "'%s' is not",
    (host) => assert.isFalse(isLoopback(host))
  )
})

describe("check", () => {
  it("finds nothing in a configuration that fits", () => {
    assert.deepStrictEqual(problems({}), [])
    assert.deepStrictEqual(problems({ server: { host: "::1", port: 0, adminPort: 0 } }), [])
    assert.deepStrictEqual(problems({ killSwitches: [{ kind: "model", target: "m" }, { kind: "all" }] }), [])
  })

  it("does not stop at the first problem", () => {
    assert.deepStrictEqual(
      paths({
        server: { port: 5, adminPort: 5 },
        providers: { p: { kind: "openai" } },
        models: [
          { alias: "m", candidates: ["p/x", "q/x"], price, contextTokens: 10, maxOutputTokens: 11 },
          { alias: "m", candidates: [{ provider: "q", model: "x" }], price }
        ],
        killSwitches: [{ kind: "provider", target: "q" }, { kind: "tenant" }],
        policies: { timeouts: { hardMs: 10, streamMs: 5 } }
      }),
      [
        "server.adminPort",
        "providers.p.apiKey",
        "models[0].maxOutputTokens",
        "models[0].candidates[1]",
        "models[1].alias",
        "models[1].candidates[0].provider",
        "killSwitches[0].target",
        "killSwitches[1].target",
        "policies.timeouts.hardMs"
      ]
    )
  })

  it("a smaller model exists, chats, and never leads back", () => {
    const chat = (alias: string, smaller?: string) => ({
      alias,
      candidates: ["p/x"] as const,
      price,
      ...(smaller === undefined ? {} : { smaller })
    })
    const vectors = { alias: "v", kind: "embedding" as const, candidates: ["p/x"] as const, price }
    const found = (...models: NonNullable<BallastConfigInput["models"]>) =>
      problems({ models }).map(({ allowed, hint, path }) => [path, hint ?? allowed])
    assert.deepStrictEqual(found(chat("a", "b"), chat("b", "c"), chat("c")), [])
    assert.deepStrictEqual(found(chat("big", "smal"), chat("small")), [["models[0].smaller", 'did you mean "small"?']])
    assert.deepStrictEqual(found(chat("a", "v"), vectors), [["models[0].smaller", 'the alias of a chat model: "a"']])
    assert.deepStrictEqual(found(chat("a"), { ...vectors, smaller: "a" }), [
      ["models[1].smaller", 'nothing for kind "embedding"; only "chat"']
    ])
    assert.deepStrictEqual(found(chat("a", "a")), [["models[0].smaller", 'the circle is "a" -> "a"']])
    // The way into a circle is not a part of it.
    assert.deepStrictEqual(found(chat("in", "a"), chat("a", "b"), chat("b", "a")), [
      ["models[1].smaller", 'the circle is "a" -> "b" -> "a"'],
      ["models[2].smaller", 'the circle is "b" -> "a" -> "b"']
    ])
  })

  it("an open server listens on loopback alone; one with keys listens where it likes", () => {
    assert.deepStrictEqual(paths({ server: { host: "0.0.0.0" } }), ["server.host"])
    const keys = [{ key: { env: "K" }, tenant: "t" }]
    assert.deepStrictEqual(paths({ server: { host: "0.0.0.0" }, auth: { mode: "keys", keys } }), [])
    assert.deepStrictEqual(paths({ auth: { mode: "open", keys } }), ["auth.mode"])
    assert.deepStrictEqual(paths({ auth: { mode: "keys" } }), ["auth.keys"])
  })

  it("knows names that every object has as names that nobody defined", () => {
    for (const name of ["constructor", "toString", "__proto__"]) {
      assert.deepStrictEqual(paths({ models: [{ alias: "m", candidates: [`${name}/x`], price }] }), [
        "models[0].candidates[0]"
      ])
    }
  })

  it("a secret written into a header is not shown", () => {
    const found = problems({
      providers: { p: { kind: "openai-compatible", baseUrl: "http://h", headers: { "X-Auth-Token": "s3cret" } } }
    })
    assert.deepStrictEqual(
      found.map(({ path }) => path),
      ["providers.p.headers.X-Auth-Token"]
    )
    assert.notInclude(JSON.stringify(found), "s3cret")
  })

  it("options of the simulated provider are checked by its own schema", () => {
    const sim = (options: Record<string, unknown>) => paths({ providers: { p: { kind: "sim", sim: options } } })
    assert.deepStrictEqual(sim({ seed: 1 }), [])
    assert.deepStrictEqual(sim({ sed: 1 }), ["providers.p.sim.sed"])
  })
})

import { assert, describe, it } from "vitest"
import { Result, Schema } from "effect"
import type { ConfigProblem } from "../../../../src/domain/config-error.ts"
import * as Problems from "../../../../src/programs/config/problems.ts"

const Port = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 }))
const Kind = Schema.Literals(["openai", "azure", "sim"])
const File = Schema.Struct({
  port: Schema.optionalKey(Port),
  name: Schema.optionalKey(Schema.NonEmptyString.annotate({ description: "what it is called" })),
  kind: Schema.optionalKey(Kind),
  list: Schema.optionalKey(Schema.Array(Schema.Struct({ alias: Schema.NonEmptyString, on: Schema.Boolean }))),
  headers: Schema.optionalKey(Schema.Record(Schema.String, Schema.Finite)),
  apiKey: Schema.optionalKey(Schema.Finite),
  named: Schema.optionalKey(
    Schema.Record(Schema.String.check(Schema.isPattern(/^[a-z]+$/u, { expected: "a small word" })), Schema.Finite)
  )
})

const problems = (
  input: unknown,
  origin?: (path: string) => string | undefined,
  base?: ReadonlyArray<string>
): ReadonlyArray<ConfigProblem> => {
  const decoded = Schema.decodeUnknownResult(File, { errors: "all", onExcessProperty: "error" })(input)
  if (Result.isSuccess(decoded)) return assert.fail("it is valid")
  const root = base === undefined ? input : base.reduceRight<unknown>((inner, key) => ({ [key]: inner }), input)
  return Problems.fromIssue(root, decoded.failure.issue, origin, base)
}

describe("fromIssue", () => {
  it("names the place, what is there and what may be", () => {
    assert.deepStrictEqual(problems({ port: 65_536 }), [
      { path: "port", found: "65536", allowed: "a number between 0 and 65535" }
    ])
    assert.deepStrictEqual(problems({ name: "" }), [
      { path: "name", found: "an empty string", allowed: "a non-empty string" }
    ])
    assert.deepStrictEqual(problems([]), [{ path: "", found: "an empty list", allowed: "an object" }])
  })

  it("tells all problems at once, deep ones too", () => {
    assert.deepStrictEqual(
      problems({ port: -1, kind: 1, list: [{ alias: "a", on: true }, { alias: "", on: "yes" }, {}] }).map(
        ({ path }) => path
      ),
      ["port", "kind", "list[1].alias", "list[1].on", "list[2].alias", "list[2].on"]
    )
  })

  it("guesses what a misspelt word or key was meant to be", () => {
    const [word] = problems({ kind: "azur" })
    assert.strictEqual(word?.hint, 'did you mean "azure"?')
    assert.strictEqual(word?.allowed, 'one of "openai", "azure", "sim"')
    assert.isUndefined(problems({ kind: "zzzzzz" })[0]?.hint)
    const [key] = problems({ prot: 1 })
    assert.strictEqual(key?.path, "prot")
    assert.strictEqual(key?.found, "an unknown key")
    assert.strictEqual(key?.hint, 'did you mean "port"?')
  })

  it("a key that its record does not allow is named as a key", () => {
    const [problem] = problems({ named: { A: 1 } })
    assert.strictEqual(problem?.path, "named.A")
    assert.strictEqual(problem?.found, 'the key "A"')
    assert.strictEqual(problem?.allowed, "a small word")
  })

  it("does not show what may be a secret in the wrong place", () => {
    for (const input of [{ apiKey: "sk-live" }, { headers: { "x-a": "sk-live" } }]) {
      const [problem] = problems(input)
      assert.notInclude(JSON.stringify(problem), "sk-live")
      assert.include(problem?.found, "not shown")
    }
    assert.include(problems({ port: "visible" })[0]?.found, "visible")
  })

  it("says where a value came from that is not in the file", () => {
    const [problem] = problems({ port: "x" }, (path) => (path === "port" ? "BALLAST_PORT" : undefined))
    assert.strictEqual(problem?.found, '"x" (from BALLAST_PORT)')
  })

  it("a part is told with the path of the whole", () => {
    const [problem] = problems({ port: -1 }, undefined, ["providers", "p"])
    assert.deepStrictEqual([problem?.path, problem?.found], ["providers.p.port", "-1"])
  })
})

describe("describe", () => {
  it.each([
    [Schema.String, "a string"],
    [Schema.NonEmptyString, "a non-empty string"],
    [Schema.Boolean, "true or false"],
    [Schema.Null, "null"],
    [Schema.Array(Schema.String), "a list"],
    [Schema.Struct({}), "an object"],
    [Schema.NullOr(Schema.String), "a string or null"],
    [Schema.Literals(["a", "b"]), '"a" or "b"'],
    [Kind, 'one of "openai", "azure", "sim"'],
    [Schema.String.annotate({ message: "a word" }), "a word"]
  ])("says it in words: %#", (schema, text) => assert.strictEqual(Problems.describe(schema.ast), text))
})

describe("found", () => {
  it("is short, and nothing that only looks like a key of the file", () => {
    assert.strictEqual(Problems.found({ name: "x".repeat(100) }, ["name"]), JSON.stringify(`${"x".repeat(59)}…`))
    assert.strictEqual(Problems.found({}, ["constructor"]), "nothing")
    assert.strictEqual(Problems.found({ a: null }, ["a"]), "null")
    assert.strictEqual(Problems.found({ a: [1] }, ["a", 0]), "1")
    assert.strictEqual(Problems.found({ a: "text" }, ["a", "length"]), "nothing")
  })
})

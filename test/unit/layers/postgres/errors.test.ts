/** What the server and the driver say, as reasons; what they quote stays behind. */
import { assert, describe, it } from "@effect/vitest"
import { ConnectionError, SqlError, UnknownError } from "effect/sql/SqlError"
import * as Errors from "../../../../src/layers/postgres/errors.ts"

const quoting = 'Key (tenant)=(s3cret) already exists: "s3cret"'

/** An error as the server sends it. */
const sent = (code: string, constraint?: string) =>
  new SqlError({
    reason: new UnknownError({
      cause: Object.assign(new Error(quoting), { code, severity: "ERROR", detail: quoting, constraint }),
      message: quoting,
      operation: "query"
    })
  })

describe("Errors of Postgres", () => {
  const table: ReadonlyArray<readonly [string, string]> = [
    ["08006", "Unavailable"],
    ["28P01", "Unavailable"],
    ["3D000", "Unavailable"],
    ["42501", "Unavailable"],
    ["53300", "Unavailable"],
    ["57P01", "Unavailable"],
    ["57P03", "Unavailable"],
    ["58030", "Unavailable"],
    ["XX000", "Unavailable"],
    ["57014", "Timeout"],
    ["55P03", "Timeout"],
    ["25P03", "Timeout"],
    ["25006", "ReadOnly"],
    ["53100", "Full"],
    ["53200", "Full"],
    ["42P01", "Schema"],
    ["42703", "Schema"],
    ["42883", "Schema"],
    ["42P07", "Schema"],
    ["3F000", "Schema"],
    ["23505", "Conflict"],
    ["40001", "Conflict"],
    ["40P01", "Conflict"],
    ["23514", "Invalid"],
    ["23001", "Invalid"],
    ["22P02", "Invalid"],
    ["42601", "Invalid"],
    ["54000", "Invalid"]
  ]
  for (const [code, tag] of table) {
    it(`${code} is ${tag}, quoting nothing`, () => {
      const error = Errors.errorOf(sent(code, "api_keys_hash_key"), 50)
      assert.strictEqual(error.reason._tag, tag)
      assert.notInclude(JSON.stringify(error) + error.message, "s3cret")
      // Who retries must not retry what can never succeed, and must not give up what may.
      assert.strictEqual(Errors.isPassing(error), tag !== "Invalid")
      assert.strictEqual(Errors.isDown(error), tag === "Unavailable" || tag === "Timeout")
    })
  }

  it("without a SQLSTATE: the socket is gone, or a value cannot be sent", () => {
    const refused = new ConnectionError({
      cause: Object.assign(new Error("connect ECONNREFUSED s3cret"), { code: "ECONNREFUSED" }),
      message: "s3cret",
      operation: "connect"
    })
    assert.deepStrictEqual(Errors.reasonOf(new SqlError({ reason: refused }), 1), {
      _tag: "Unavailable",
      detail: "ECONNREFUSED"
    })
    const unsendable = new UnknownError({ cause: new Error("s3cret"), message: "s3cret", operation: "query" })
    const invalid = Errors.errorOf(new SqlError({ reason: unsendable }), 1)
    assert.strictEqual(invalid.reason._tag, "Invalid")
    assert.notInclude(JSON.stringify(invalid), "s3cret")
    const undone = new UnknownError({ cause: new Error("x"), message: "x", operation: "commit" })
    assert.strictEqual(Errors.reasonOf(new SqlError({ reason: undone }), 1)._tag, "Conflict")
  })
})

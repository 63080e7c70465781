// undici's errors become reasons; the layer closes its connections with its scope.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import * as Undici from "../../../../src/layers/transport/undici.ts"

const error = (message: string, code?: string): Error =>
  Object.assign(new Error(message), code === undefined ? {} : { code })

const before = (e: Error) => Undici.reasonOf(e, false, 50)

describe("undici", () => {
  it("sorts errors by code, and by whether the answer had begun", () => {
    assert.deepStrictEqual(before(error("connect ECONNREFUSED", "ECONNREFUSED")), {
      _tag: "Unreachable",
      detail: "ECONNREFUSED",
      refused: true
    })
    assert.deepInclude(before(new AggregateError([], "")), { _tag: "Unreachable", refused: false })
    assert.deepInclude(before(Object.assign(new AggregateError([], ""), { code: "ECONNREFUSED" })), {
      detail: "ECONNREFUSED",
      refused: true
    })
    assert.deepInclude(before(error("getaddrinfo", "ENOTFOUND")), { _tag: "Unreachable", refused: false })
    assert.deepStrictEqual(before(error("Connect Timeout Error", "UND_ERR_CONNECT_TIMEOUT")), {
      _tag: "Timeout",
      phase: "connect",
      afterMs: 50
    })
    for (const code of ["UND_ERR_SOCKET", "ECONNRESET", "EPIPE", "HPE_INVALID_CONSTANT"]) {
      assert.strictEqual(before(error("x", code))._tag, "Closed")
    }
    assert.strictEqual(Undici.reasonOf(error("x", "ECONNREFUSED"), true, 50)._tag, "Closed")
  })

  it.effect("refuses to send when its scope is closed", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const transport = yield* Effect.provideService(Undici.make(), Scope.Scope, scope)
      yield* Scope.close(scope, Exit.void)
      const request = { method: "POST", origin: "http://127.0.0.1:9", path: "/", headers: [], body: "" } as const
      const failure = yield* Effect.flip(transport.send(request))
      assert.strictEqual(failure.reason._tag, "Unreachable")
    })
  )
})

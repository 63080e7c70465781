import { PassThrough } from "node:stream"
import { assert, describe, it } from "vitest"
import { listener } from "../../../../src/programs/server/client-errors.ts"
import { parseRaw } from "../../../support/raw-client.ts"

/** What the client reads after an error with this code; `undefined` where the socket was destroyed. */
const answerTo = (code: string, prepare: (socket: PassThrough) => void = () => {}) => {
  const socket = new PassThrough()
  prepare(socket)
  listener(() => "req_1")(Object.assign(new Error("x"), { code }), socket)
  return socket.destroyed ? undefined : parseRaw(String(socket.read()))
}

describe("an error of the HTTP parser", () => {
  it.each([
    ["HPE_HEADER_OVERFLOW", 431, "headers_too_large", "false"],
    ["ERR_HTTP_REQUEST_TIMEOUT", 408, "request_timeout", "true"],
    ["HPE_INVALID_METHOD", 400, "malformed_http", "false"]
  ])("%s is answered with %i", (error, status, code, retry) => {
    const answer = answerTo(error)
    assert.isDefined(answer)
    assert.strictEqual(answer.status, status)
    assert.strictEqual(answer.headers["x-should-retry"], retry)
    assert.strictEqual(answer.headers["x-request-id"], "req_1")
    assert.strictEqual(answer.headers.connection, "close")
    assert.strictEqual(answer.headers["content-length"], String(answer.text.length))
    const body = JSON.parse(answer.text).error
    assert.deepStrictEqual([body.code, body.param, body.request_id], [code, null, "req_1"])
  })

  it("of a client that has left is not answered", () => {
    assert.isUndefined(answerTo("ECONNRESET"))
    assert.isUndefined(answerTo("HPE_INVALID_METHOD", (socket) => void socket.end()))
  })
})

/**
 * What Node's parser rejects before there is a request: answered with OpenAI's
 * error body by hand, since no response object exists yet.
 */
import type { Duplex } from "node:stream"

interface Answer {
  readonly status: string
  readonly code: string
  readonly message: string
}

const answers: Readonly<Record<string, Answer>> = {
  HPE_HEADER_OVERFLOW: {
    status: "431 Request Header Fields Too Large",
    code: "headers_too_large",
    message: "The request's headers are too large."
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: "408 Request Timeout",
    code: "request_timeout",
    message: "The request did not arrive in time."
  }
}

const malformed: Answer = {
  status: "400 Bad Request",
  code: "malformed_http",
  message: "The request is not valid HTTP."
}

/** A listener for `clientError` of a `node:http` server. */
export const listener = (error: NodeJS.ErrnoException, socket: Duplex): void => {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy()
    return
  }
  const { code, message, status } = answers[error.code ?? ""] ?? malformed
  const body = JSON.stringify({ error: { message, type: "invalid_request_error", param: null, code } })
  socket.end(
    `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`
  )
}

/**
 * What Node's parser rejects before there is a request: answered with OpenAI's
 * error body by hand, since no response object exists yet.
 */
import { ServerResponse } from "node:http"
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

/** Whether an answer has begun on the socket: other bytes in the middle of it would be read as a part of it. */
const isAnswering = (socket: Duplex): boolean =>
  // Where Node keeps the response that owns a socket; its own default listener asks the same question.
  "_httpMessage" in socket && socket._httpMessage instanceof ServerResponse && socket._httpMessage.headersSent

/** A listener for `clientError` of a `node:http` server. */
export const listener =
  (newId: () => string) =>
  (error: NodeJS.ErrnoException, socket: Duplex): void => {
    if (error.code === "ECONNRESET" || !socket.writable || isAnswering(socket)) {
      socket.destroy()
      return
    }
    const { code, message, status } = answers[error.code ?? ""] ?? malformed
    const id = newId()
    const body = JSON.stringify({
      error: { message, type: "invalid_request_error", param: null, code, request_id: id }
    })
    const headers = [
      "content-type: application/json",
      `content-length: ${Buffer.byteLength(body)}`,
      `x-request-id: ${id}`,
      // As for a body of ours that comes too slowly: it was the network's fault perhaps, and nothing was done yet.
      `x-should-retry: ${error.code === "ERR_HTTP_REQUEST_TIMEOUT"}`,
      "connection: close"
    ]
    socket.end(`HTTP/1.1 ${status}\r\n${headers.join("\r\n")}\r\n\r\n${body}`)
  }

/**
 * The baseline: the handler that many a first version has. It calls the upstream with `fetch`, races the whole answer
 * against a timeout, and passes on what comes. Nobody tells it that its client has left or reads too slowly, and what
 * fails after the head ends the answer as if it were complete. `node glue.ts UPSTREAM`
 */
import * as http from "node:http"
import type { AddressInfo } from "node:net"

const upstream = process.argv[2] ?? ""
const timeoutMs = Number(process.env["GLUE_TIMEOUT_MS"] ?? 30_000)

const bodyOf = async (request: http.IncomingMessage): Promise<string> => {
  let body = ""
  for await (const part of request.setEncoding("utf8")) body += String(part)
  return body
}

const relay = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
  const reply = await fetch(`${upstream}${request.url}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: await bodyOf(request)
  })
  response.writeHead(reply.status, { "content-type": reply.headers.get("content-type") ?? "application/json" })
  for await (const piece of reply.body ?? []) response.write(piece)
  response.end()
}

const timeout = (): Promise<never> =>
  new Promise((_resolve, reject) => {
    setTimeout(() => reject(new Error("timeout")), timeoutMs).unref()
  })

const server = http.createServer((request, response) => {
  if (request.url === "/readyz") return void response.end("{}")
  response.on("error", () => undefined)
  const work = relay(request, response)
  Promise.race([work, timeout()]).catch(() => {
    if (!response.headersSent) response.writeHead(504, { "content-type": "application/json" })
    response.end()
  })
  work.catch(() => undefined)
})

server.listen(0, "127.0.0.1", 4096, () => {
  const { port } = server.address() as AddressInfo
  process.stdout.write(`glue listens on http://127.0.0.1:${port} admin http://127.0.0.1:${port}/metrics\n`)
})

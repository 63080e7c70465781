/**
 * The leaner reference: as `bare`, but undici's `dispatch` writes each piece of the reply straight to the client, with
 * no stream between. `node bare-dispatch.ts PORT UPSTREAM`
 */
import * as http from "node:http"
import { Pool } from "undici"
import type { Dispatcher } from "undici"
import { forwardable } from "./hop-by-hop.ts"

const [port, upstream] = process.argv.slice(2)
const pool = new Pool(upstream ?? "")

const relay = (res: http.ServerResponse): Dispatcher.DispatchHandler => {
  let upstreamCall: Dispatcher.DispatchController | undefined
  res.on("drain", () => upstreamCall?.resume())
  res.on("close", () => {
    if (!res.writableFinished) upstreamCall?.abort(new Error("client gone"))
  })
  return {
    onRequestStart: (controller) => {
      upstreamCall = controller
      if (res.destroyed) controller.abort(new Error("client gone"))
    },
    onResponseStart: (_controller, status, headers) => {
      res.writeHead(status, forwardable(headers))
    },
    onResponseData: (controller, chunk) => {
      if (!res.write(chunk)) controller.pause()
    },
    onResponseEnd: () => {
      res.end()
    },
    onResponseError: (_controller, error) => {
      if (res.headersSent) res.destroy()
      else res.writeHead(502).end(String(error))
    }
  }
}

http
  .createServer((req, res) => {
    const parts: Array<Buffer> = []
    req.on("data", (part: Buffer) => parts.push(part))
    req.on("end", () => {
      const body = parts.length === 1 ? parts[0] : Buffer.concat(parts)
      const headers = forwardable(req.headers)
      pool.dispatch({ path: req.url ?? "/", method: "POST", headers, body: body ?? null }, relay(res))
    })
  })
  .listen(Number(port), "127.0.0.1", 4096)

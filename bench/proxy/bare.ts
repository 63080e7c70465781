/**
 * The reference: the least a Node proxy can be, `node:http` in front and an undici `Pool` behind, bodies piped. It
 * guards nothing. `node bare.ts PORT UPSTREAM`
 */
import * as http from "node:http"
import { Pool } from "undici"
import { forwardable } from "./hop-by-hop.ts"

const [port, upstream] = process.argv.slice(2)
const pool = new Pool(upstream ?? "")

const proxy = async (req: http.IncomingMessage, res: http.ServerResponse): Promise<void> => {
  const reply = await pool.request({
    path: req.url ?? "/",
    method: "POST",
    headers: forwardable(req.headers),
    body: req
  })
  res.on("close", () => {
    if (!res.writableFinished) reply.body.destroy()
  })
  reply.body.on("error", () => res.destroy())
  res.writeHead(reply.statusCode, forwardable(reply.headers))
  reply.body.pipe(res)
}

http
  .createServer((req, res) => {
    proxy(req, res).catch((error: unknown) => {
      if (res.headersSent) res.destroy()
      else res.writeHead(502).end(String(error))
    })
  })
  .listen(Number(port), "127.0.0.1", 4096)

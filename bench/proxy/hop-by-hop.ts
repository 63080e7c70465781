/** Headers that belong to one connection and that a proxy must not pass on. */
import type { IncomingHttpHeaders } from "node:http"

export const forwardable = (headers: IncomingHttpHeaders): IncomingHttpHeaders => {
  const kept = { ...headers }
  delete kept.host
  delete kept.connection
  delete kept["keep-alive"]
  delete kept["transfer-encoding"]
  return kept
}

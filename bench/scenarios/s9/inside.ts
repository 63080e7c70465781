/**
 * Preloaded into every server under test: ends the process when the bench is gone, and answers its questions for
 * memory and for the delay of the event loop. Never keeps the process alive.
 */
import { isMainThread } from "node:worker_threads"
import { serveParent } from "../../child/ipc.ts"
import { measure } from "../../child/live-memory.ts"
import * as Stalls from "./stalls.ts"

if (isMainThread && process.send !== undefined) {
  const loop = Stalls.watch()
  serveParent({ loop: () => loop.report(), memory: measure })
  process.channel?.unref()
}

/**
 * Preloaded into every server under test: answers the bench's question for memory over the IPC channel, after a full
 * collection, and ends the process when the bench is gone. It never keeps the process alive and idles otherwise.
 */
import { isMainThread } from "node:worker_threads"
import { serveParent } from "../child/ipc.ts"
import { measure } from "../child/live-memory.ts"

if (isMainThread && process.send !== undefined) {
  serveParent({ memory: measure })
  process.channel?.unref()
}

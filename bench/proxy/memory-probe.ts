/**
 * Preloaded into every server under test: answers the bench's question for memory over the IPC channel, after a full
 * collection, and ends the process when the bench is gone. It never keeps the process alive and idles otherwise.
 */
import { setFlagsFromString } from "node:v8"
import { isMainThread } from "node:worker_threads"
import { runInNewContext } from "node:vm"
import { serveParent } from "./ipc.ts"

export interface Memory {
  /** Live bytes after a full collection: heap and what it holds outside. */
  readonly liveBytes: number
  readonly rssBytes: number
}

if (isMainThread && process.send !== undefined) {
  serveParent({
    memory: (): Memory => {
      setFlagsFromString("--expose-gc")
      const collect = runInNewContext("gc") as () => void
      collect()
      collect()
      const { external, heapUsed, rss } = process.memoryUsage()
      return { liveBytes: heapUsed + external, rssBytes: rss }
    }
  })
  process.channel?.unref()
}

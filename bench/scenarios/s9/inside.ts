/**
 * Preloaded into every server under test: ends the process when the bench is gone, and answers its questions for
 * memory and for the delay of the event loop. Never keeps the process alive.
 */
import { runInNewContext } from "node:vm"
import { setFlagsFromString } from "node:v8"
import { isMainThread } from "node:worker_threads"
import { serveParent } from "../../proxy/ipc.ts"
import * as Stalls from "./stalls.ts"

/** Live bytes after a full collection: the heap and what it holds outside. */
export interface Memory {
  readonly liveBytes: number
  readonly rssBytes: number
}

if (isMainThread && process.send !== undefined) {
  const loop = Stalls.watch()
  serveParent({
    loop: () => loop.report(),
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

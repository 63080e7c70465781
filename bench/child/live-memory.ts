/** The memory of this process after a full collection, as servers under test tell it. */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

/** Live bytes after a full collection: the heap and what it holds outside. */
export interface Memory {
  readonly liveBytes: number
  readonly rssBytes: number
}

/** Collect, and measure. */
export const measure = (): Memory => {
  setFlagsFromString("--expose-gc")
  const collect = runInNewContext("gc") as () => void
  collect()
  collect()
  const { external, heapUsed, rss } = process.memoryUsage()
  return { liveBytes: heapUsed + external, rssBytes: rss }
}

/**
 * Where processes run: the server under test owns one core, the mock and the load generator have another, so that
 * the server is what limits and its CPU time is its own. Needs `taskset` and two cores; says so when it cannot.
 */
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"

export interface Placement {
  /** For the reader. */
  readonly text: string
  /** Puts `command` on its core. */
  readonly pin: (role: Role, command: ReadonlyArray<string>) => ReadonlyArray<string>
}

export type Role = "server" | "mock" | "load"

/** "0-2,5" -> [0, 1, 2, 5] */
const parseCores = (list: string): ReadonlyArray<number> =>
  list.split(",").flatMap((range) => {
    const [from = 0, to = from] = range.split("-").map(Number)
    return Array.from({ length: to - from + 1 }, (_, index) => from + index)
  })

const allowedCores = (): ReadonlyArray<number> => {
  try {
    const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(fs.readFileSync("/proc/self/status", "utf8"))?.[1]
    return list === undefined ? [] : parseCores(list)
  } catch {
    return []
  }
}

export const findPlacement = (): Placement => {
  const [server, mock, load = mock] = allowedCores()
  const taskset = spawnSync("taskset", ["--version"], { stdio: "ignore" }).error === undefined
  if (!taskset || server === undefined || mock === undefined) {
    const why = taskset ? `only ${os.availableParallelism()} core to use` : "no taskset here"
    return { text: `NOT pinned (${why}): figures are rough`, pin: (_role, command) => command }
  }
  const cores: Record<Role, number | undefined> = { server, mock, load }
  return {
    text: `servers pinned to core ${server}, mock to core ${mock}, load to core ${load}`,
    pin: (role, command) => ["taskset", "-c", String(cores[role]), ...command]
  }
}

/** CPU time and resident memory of another process, all its threads (JIT, GC, pool) included. */
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"

const ps = (field: string, pid: number): string =>
  execFileSync("ps", ["-o", `${field}=`, "-p", String(pid)], { encoding: "utf8" }).trim()

const hasProc = fs.existsSync("/proc/self/task")

// The schedstat of a process is that of its first thread only, hence the sum over its tasks.
const procCpuMs = (pid: number): number => {
  let nanoseconds = 0
  for (const task of fs.readdirSync(`/proc/${pid}/task`)) {
    try {
      nanoseconds += Number(fs.readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0])
    } catch {
      // The thread ended between the listing and the reading.
    }
  }
  return nanoseconds / 1e6
}

/** "[[dd-]hh:]mm:ss[.cc]" in milliseconds: where there is no /proc, with the grain of `ps`. */
const parsePsTime = (text: string): number => {
  const [days, clock] = text.includes("-") ? text.split("-") : ["0", text]
  const seconds = (clock ?? "").split(":").reduce((sum, part) => sum * 60 + Number(part), 0)
  return (Number(days) * 86_400 + seconds) * 1000
}

/** CPU milliseconds `pid` has used since it began. NaN when it is gone. */
export const cpuMs = (pid: number): number => {
  try {
    return hasProc ? procCpuMs(pid) : parsePsTime(ps("time", pid))
  } catch {
    return Number.NaN
  }
}

/** Resident memory of `pid` in bytes. NaN when it is gone. */
export const rssBytes = (pid: number): number => {
  try {
    if (!hasProc) return Number(ps("rss", pid)) * 1024
    return Number(/^VmRSS:\s*(\d+) kB$/m.exec(fs.readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024
  } catch {
    return Number.NaN
  }
}

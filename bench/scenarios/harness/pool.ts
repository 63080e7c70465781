/** Runs jobs in child processes, as many at once as there are cores. */
import { fork } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { availableParallelism } from "node:os"
import type { Job, Reply } from "./job.ts"

/** Heap of a child, in MB. */
const heapMb = 1_200

const start = (): ChildProcess =>
  fork(new URL("./worker.ts", import.meta.url), {
    execArgv: [`--max-old-space-size=${heapMb}`, "--disable-warning=ExperimentalWarning"],
    stdio: ["ignore", "ignore", "inherit", "ipc"]
  })

const ask = (child: ChildProcess, job: Job): Promise<Reply> =>
  new Promise((resolve) => {
    const onMessage = (message: unknown) => {
      child.off("exit", onExit)
      // Only our own worker module sends.
      resolve(message as Reply)
    }
    const onExit = (code: number | null) => {
      child.off("message", onMessage)
      resolve({ _tag: "Failed", error: `the process that played it ended with code ${code ?? "none"}` })
    }
    child.once("message", onMessage)
    child.once("exit", onExit)
    child.send(job)
  })

/** Play all jobs; `onReply` hears of each when it is done, in no order. */
export const run = async (
  jobs: ReadonlyArray<Job>,
  onReply: (index: number, reply: Reply) => void,
  atOnce = availableParallelism()
): Promise<void> => {
  let next = 0
  const lane = async () => {
    let child: ChildProcess | undefined
    for (let index = next++; index < jobs.length; index = next++) {
      const job = jobs[index]
      if (job === undefined) break
      if (child === undefined || !child.connected) child = start()
      onReply(index, await ask(child, job))
    }
    if (child?.connected === true) child.disconnect()
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, jobs.length) }, lane))
}

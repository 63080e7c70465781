/**
 * A child process that plays runs, one after the other, as its parent sends
 * them. A process of its own, because the other libraries' world replaces the
 * globals of time.
 */
import * as Benches from "./benches.ts"
import type { Job, Reply } from "./job.ts"
import * as Run from "./run.ts"

// Taken before anything is replaced.
const clock = process.hrtime.bigint

const work = async ({ policy, quick, scenario, seed, variant }: Job): Promise<Reply> => {
  const since = clock()
  try {
    const one = Benches.caseOf(await Benches.load(scenario), variant)
    const figures = await Run.figures(one, policy, { seed, quick })
    return { _tag: "Done", figures, tookMs: Number(clock() - since) / 1e6 }
  } catch (error) {
    return { _tag: "Failed", error: error instanceof Error ? (error.stack ?? error.message) : String(error) }
  }
}

process.on("message", (job) => {
  // Only the parent sends, and only jobs.
  void work(job as Job).then((reply) => process.send?.(reply))
})
process.on("disconnect", () => process.exit())

/**
 * `npm run bench -- S9`: streams over real sockets. Ballast as a process of its own before a streaming upstream in
 * another, and clients that leave, that do not read, that are stalled, and that live through a rolling restart; beside
 * it the promise-race glue that many a first version is. Ends with code 1 when a row of ours misses a target.
 *
 * What to trust: times are read on the system's monotonic clock, which all processes share; a time that a measuring
 * process read right after its own event loop had slept is left out, and counted in `samples_excluded`.
 */
import { parseOptions, usage } from "./options.ts"
import type { Options } from "./options.ts"
import { bindToProcess, endChildren } from "../../child/lifetime.ts"
import { report } from "./report.ts"
import type { Row } from "./row.ts"
import { runSeed, startUpstreams } from "./run.ts"
import { misses } from "./targets.ts"

const limitMs = 60 * 60_000

const runAll = async (options: Options): Promise<ReadonlyArray<Row>> => {
  const { firstSeed, json, only, quick, seeds } = options
  const rows: Array<Row> = []
  bindToProcess(limitMs)
  try {
    const upstreams = await startUpstreams()
    for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
      if (!json) process.stderr.write(`S9: seed ${seed} (${seed - firstSeed + 1} of ${seeds})\n`)
      await runSeed({ seed, quick, only }, upstreams, (row) => {
        rows.push(row)
        if (json) process.stdout.write(`${JSON.stringify(row)}\n`)
      })
    }
  } finally {
    endChildren()
  }
  return rows
}

/** Run the scenario. */
export const main = async (argv: ReadonlyArray<string>): Promise<void> => {
  const options = parseOptions(argv)
  if (options === undefined) return void process.stdout.write(usage)
  const rows = await runAll(options)
  if (!options.json) process.stdout.write(`${report(rows)}\n`)
  if (rows.some((row) => misses(row).length > 0)) process.exitCode = 1
}

/**
 * `npm run bench -- limits [--seeds N] [--only NAME] [--case NAME] [--json]`:
 * algorithms for the limit of calls in flight, side by side in virtual time.
 *
 * - goodput: answers in time over what the provider can do
 * - late: share of the calls let in whose answer came too late
 * - time: median of the signal's own time (first token, or whole answer) without the queue, over an idle provider's
 * - limit: of all processes together; 40 is right
 */
import { parseArgs } from "node:util"
import { algorithms } from "./algorithms.ts"
import { cases } from "./cases.ts"
import * as World from "./world.ts"

interface Row {
  readonly mode: string
  readonly case: string
  readonly span: string
  readonly algorithm: string
  readonly goodput: number
  readonly late: number
  readonly time: number
  readonly limit: number
}

const middle = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}
const mean = (values: ReadonlyArray<number>): number =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length)

const rowsOf = (mode: string, algorithm: string, seed: number, only: string | undefined): ReadonlyArray<Row> => {
  const streamed = mode === "streams"
  return cases(streamed)
    .filter(({ name }) => only === undefined || name.includes(only))
    .flatMap(({ name, spans, world }) => {
      const limitOf = algorithms[algorithm]
      if (limitOf === undefined) throw new Error(`no algorithm '${algorithm}'`)
      const { capacityPerS, limits, visits } = World.play({ ...world, seed, limitOf })
      return spans.map(({ capacity = 1, fromS, name: span, toS }) => {
        const within = (at: number) => at >= fromS * 1_000 && at < toS * 1_000
        const good = visits.filter(({ ending, endedAt }) => ending === "good" && within(endedAt))
        const letIn = visits.filter(({ at, ending }) => within(at) && ending !== "refused")
        const times = good.map((one) => (streamed ? one.firstTokenMs : one.endedAt - one.at) - one.waitedMs)
        return {
          mode,
          case: name,
          span,
          algorithm,
          goodput: good.length / (toS - fromS) / (capacityPerS * capacity),
          late: letIn.filter(({ ending }) => ending === "late").length / Math.max(1, letIn.length),
          time: middle(times) / (streamed ? World.idleFirstTokenMs : World.idleAnswerMs),
          limit: mean(limits.slice(fromS, toS))
        }
      })
    })
}

/** Run the benchmark. */
export const main = async (argv: ReadonlyArray<string>): Promise<void> => {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      seeds: { type: "string", default: "1" },
      only: { type: "string" },
      case: { type: "string" },
      json: { type: "boolean", default: false }
    }
  })
  const names = Object.keys(algorithms).filter(
    (name) => values.only === undefined || values.only.split(",").includes(name)
  )
  for (const mode of ["streams", "whole"]) {
    const rows: Array<Row> = []
    for (const name of names) {
      for (let seed = 1; seed <= Number(values.seeds); seed++) rows.push(...rowsOf(mode, name, seed, values.case))
    }
    const keys = [...new Set(rows.map((row) => `${row.case}|${row.span}`))]
    if (!values.json)
      process.stdout.write(
        `\n${mode}: goodput, late %, time, limit (worst goodput and late of the seeds, mean of the others)\n`
      )
    if (!values.json) process.stdout.write(`${"".padEnd(22)}${names.map((name) => name.padEnd(25)).join("")}\n`)
    for (const key of keys) {
      const cells = names.map((name) => {
        const of = rows.filter((row) => row.algorithm === name && `${row.case}|${row.span}` === key)
        const cell = {
          goodput: Math.min(...of.map(({ goodput }) => goodput)),
          late: Math.max(...of.map(({ late }) => late)),
          time: mean(of.map(({ time }) => time)),
          limit: mean(of.map(({ limit }) => limit))
        }
        if (values.json) process.stdout.write(`${JSON.stringify({ mode, case: key, algorithm: name, ...cell })}\n`)
        return `${cell.goodput.toFixed(2)} ${(cell.late * 100).toFixed(1).padStart(5)} ${cell.time.toFixed(2)} ${cell.limit.toFixed(0).padStart(4)}`.padEnd(
          25
        )
      })
      if (!values.json) process.stdout.write(`${key.replace("|", ", ").padEnd(22)}${cells.join("")}\n`)
    }
  }
}

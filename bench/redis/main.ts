/**
 * `npm run bench -- redis`: what the guards over Redis cost a process that has 2,300 requests a second: CPU of the
 * client beyond what the same guards in memory take, in the same loop, in turn; and commands, bytes and round trips of
 * each request. Ends with code 1 when all Redis work together takes a fifth of a core or more.
 */
import { parseArgs } from "node:util"
import { ManagedRuntime } from "effect"
import { bindToProcess, endChildren } from "../child/lifetime.ts"
import { median, quantile } from "../proxy/tally.ts"
import * as OwnRedis from "../scenarios/stores/own-redis.ts"
import type { OwnRedis as Server } from "../scenarios/stores/own-redis.ts"
import * as Loop from "./loop.ts"
import { inMemory, overRedis, perSecond } from "./setup.ts"
import type { Sent } from "./setup.ts"

/** Most of one core. */
const mostShare = 0.2

const usage = `usage: npm run bench -- redis [flags]

  --rounds N   times that each loop runs, in turn (5)
  --seconds N  length of one (3)
  --json       one line of JSON for each row, and nothing else
`

/** Counters of the server since its start. */
interface Counters {
  readonly commands: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly cpuMs: number
}

const field = (text: string, name: RegExp): number => Number(name.exec(text)?.[1] ?? Number.NaN)

const countersOf = async (redis: Server): Promise<Counters> => {
  const text = await redis.ask("INFO", "everything")
  const scripts = [...text.matchAll(/cmdstat_(?:evalsha|eval):calls=(\d+)/gu)]
  return {
    commands: scripts.reduce((sum, [, calls]) => sum + Number(calls), 0),
    bytesIn: field(text, /total_net_input_bytes:(\d+)/u),
    bytesOut: field(text, /total_net_output_bytes:(\d+)/u),
    cpuMs: 1_000 * (field(text, /used_cpu_user:([\d.]+)/u) + field(text, /used_cpu_sys:([\d.]+)/u))
  }
}

const minus = (a: Counters, b: Counters): Counters => ({
  commands: a.commands - b.commands,
  bytesIn: a.bytesIn - b.bytesIn,
  bytesOut: a.bytesOut - b.bytesOut,
  cpuMs: a.cpuMs - b.cpuMs
})

const plus = (a: Counters, b: Counters): Counters => ({
  commands: a.commands + b.commands,
  bytesIn: a.bytesIn + b.bytesIn,
  bytesOut: a.bytesOut + b.bytesOut,
  cpuMs: a.cpuMs + b.cpuMs
})

/** A row of the result. */
export interface Row {
  readonly bench: "redis"
  readonly row: "limits, lease and budget" | "lease"
  readonly [figure: string]: number | string
}

const rounded = (value: number): number => Number(value.toPrecision(4))

/** Measure one row. */
export const measure = async (redis: Server, what: "all" | "lease", rounds: number, forMs: number): Promise<Row> => {
  const sent: Sent = { awaited: 0, behind: 0 }
  const remote = ManagedRuntime.make(overRedis(redis.url, sent))
  const local = ManagedRuntime.make(inMemory)
  try {
    await Loop.run(local, what, forMs / 3)
    await Loop.run(remote, what, forMs / 3)
    const core: Array<number> = []
    const loop: Array<number> = []
    const trips: Array<number> = []
    let spent: Counters = { commands: 0, bytesIn: 0, bytesOut: 0, cpuMs: 0 }
    let requests = 0
    let failed = 0
    let took = 0
    const before = { ...sent }
    for (let round = 0; round < rounds; round++) {
      const alone = await Loop.run(local, what, forMs)
      const since = await countersOf(redis)
      const { cpuMicros, failed: bad, tookMs, tripMs } = await Loop.run(remote, what, forMs)
      spent = plus(spent, minus(await countersOf(redis), since))
      // Rates, since both take a little longer than they were to.
      core.push(cpuMicros / tookMs / 1_000 - alone.cpuMicros / alone.tookMs / 1_000)
      loop.push(alone.cpuMicros / alone.tookMs / 1_000)
      for (const trip of tripMs) trips.push(trip)
      requests += tripMs.length
      failed += bad
      took += tookMs
    }
    const each = (value: number): number => rounded(value / Math.max(1, requests))
    return {
      bench: "redis",
      row: what === "all" ? "limits, lease and budget" : "lease",
      requests_per_s: perSecond,
      core_share: rounded(median(core)),
      core_share_worst: rounded(Math.max(...core)),
      client_us_per_request: rounded((median(core) * 1_000_000) / perSecond),
      loop_core_share: rounded(median(loop)),
      commands_per_request: each(spent.commands),
      awaited_round_trips_per_request: each(sent.awaited - before.awaited),
      background_scripts_per_request: each(sent.behind - before.behind),
      bytes_to_redis_per_request: each(spent.bytesIn),
      bytes_from_redis_per_request: each(spent.bytesOut),
      server_us_per_request: each(spent.cpuMs * 1_000),
      server_core_share: rounded(spent.cpuMs / took),
      trip_p50_ms: rounded(quantile(trips, 0.5)),
      trip_p99_ms: rounded(quantile(trips, 0.99)),
      requests,
      failed
    }
  } finally {
    await remote.dispose()
    await local.dispose()
  }
}

const report = (rows: ReadonlyArray<Row>): string => {
  const figures = Object.keys(rows[0] ?? {}).filter((name) => name !== "bench" && name !== "row")
  const lines = [
    ["", ...rows.map(({ row }) => row)],
    ...figures.map((name) => [name, ...rows.map((row) => String(row[name]))])
  ]
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length)))
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd()
    )
    .join("\n")
}

const whole = (flag: string, text: string): number => {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`--${flag} ${text}: a whole number from 1 on`)
  return value
}

/** Whether a row keeps its promise: nobody refused or left without an answer, and all work together takes little enough CPU. */
export const isMet = (row: Row): boolean =>
  row["failed"] === 0 && (row.row === "lease" || Number(row["core_share"]) < mostShare)

/** Run it. */
export const main = async (argv: ReadonlyArray<string>): Promise<void> => {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      rounds: { type: "string", default: "5" },
      seconds: { type: "string", default: "3" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false }
    }
  })
  if (values.help) return void process.stdout.write(usage)
  if (!(await OwnRedis.isThere("redis-server", "--version"))) {
    process.stderr.write("redis cannot be measured: no redis-server on the PATH\n")
    process.exitCode = 2
    return
  }
  const [rounds, forMs] = [whole("rounds", values.rounds), 1_000 * whole("seconds", values.seconds)]
  bindToProcess(10 * 60_000 + 8 * rounds * forMs)
  const redis = await OwnRedis.start()
  try {
    const rows: Array<Row> = []
    for (const what of ["all", "lease"] as const) {
      const row = await measure(redis, what, rounds, forMs)
      rows.push(row)
      if (values.json) process.stdout.write(`${JSON.stringify(row)}\n`)
    }
    if (!values.json) {
      process.stdout.write(`${report(rows)}\n\ncore_share of the first: < ${mostShare}\n`)
    }
    if (!rows.every(isMet)) process.exitCode = 1
  } finally {
    await redis.stop()
    endChildren()
  }
}

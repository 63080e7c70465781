/** What every variant works with: the upstream, and servers before it, Ballast's or the baseline's. */
import * as fs from "node:fs"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import type { BallastConfigInput } from "../../../src/domain/config-file.ts"
import { sharedMs } from "./clock.ts"
import { temporary } from "../../child/lifetime.ts"
import * as Processes from "./processes.ts"
import type { Process } from "./processes.ts"
import type { CallRecord } from "./script.ts"
import type { LoopReport } from "./stalls.ts"

/** The name our servers and their naive counterpart go by in the rows. */
export const policies = ["ballast", "promise-race"] as const
export type Policy = (typeof policies)[number]

export const model = "s9"

/** The model of a second upstream, for calls that must not wait for what the first has to do. */
export const besideModel = "beside"

export interface Upstream {
  readonly url: string
  /** Calls that are not over. */
  readonly open: () => Promise<number>
  readonly calls: () => Promise<ReadonlyMap<string, ReadonlyArray<CallRecord>>>
  /** Forget the calls that are over. */
  readonly clear: () => Promise<void>
  readonly loop: () => Promise<LoopReport>
}

export interface Server {
  readonly policy: Policy
  readonly url: string
  readonly adminUrl: string
  readonly process: Process
  /** The delay of its event loop since the last report. */
  readonly loop: () => Promise<LoopReport>
}

/** Sizes of the configuration that differ between variants. */
export interface Setup {
  readonly server?: BallastConfigInput["server"]
  readonly timeouts?: NonNullable<BallastConfigInput["policies"]>["timeouts"]
  readonly maxInFlight?: number
  readonly maxRetries?: number
  /** Address of the second upstream. */
  readonly besideUrl?: string
  /** The baseline's one timeout. */
  readonly glueTimeoutMs?: number
}

const file = (name: string): string => path.join(import.meta.dirname, name)
const cli = path.join(import.meta.dirname, "..", "..", "..", "src", "programs", "cli.ts")

export const startUpstream = async (name: string): Promise<Upstream> => {
  const child = Processes.start({ name, args: [file("upstream.ts")] })
  const port = await child.ask<number>("port")
  return {
    url: `http://127.0.0.1:${port}`,
    open: () => child.ask<number>("open"),
    calls: async () => {
      const byId = new Map<string, Array<CallRecord>>()
      for (const record of await child.ask<ReadonlyArray<CallRecord>>("calls")) {
        const same = byId.get(record.id)
        if (same === undefined) byId.set(record.id, [record])
        else same.push(record)
      }
      return byId
    },
    clear: () => child.ask("clear"),
    loop: () => child.ask<LoopReport>("loop")
  }
}

const price = { inputPerMillion: 1, outputPerMillion: 2 }
const none = { requestsPerMinute: null }

const configOf = (upstreamUrl: string, setup: Setup): BallastConfigInput => ({
  server: { host: "127.0.0.1", port: 0, adminPort: 0, ...setup.server },
  providers: {
    up: { kind: "openai-compatible", baseUrl: `${upstreamUrl}/v1` },
    beside: { kind: "openai-compatible", baseUrl: `${setup.besideUrl ?? upstreamUrl}/v1` }
  },
  models: [
    { alias: model, candidates: [`up/${model}`], price },
    { alias: besideModel, candidates: [`beside/${besideModel}`], price }
  ],
  policies: {
    timeouts: { hardMs: 20_000, firstTokenMs: 10_000, idleMs: 10_000, ...setup.timeouts },
    rateLimits: { user: none, ip: none, tenant: none, global: none },
    bulkhead: { maxInFlight: setup.maxInFlight ?? 256, maxQueue: 512 },
    // The upstream of this scenario fails on purpose; what the breaker makes of that is another scenario's matter.
    breaker: { minimumCalls: 1_000_000 },
    retry: setup.maxRetries === undefined ? {} : { maxRetries: setup.maxRetries }
  }
})

let configs = 0

/** Start a server before the upstream; it answers requests when this resolves. */
export const startServer = async (policy: Policy, upstreamUrl: string, setup: Setup): Promise<Server> => {
  if (policy === "promise-race") {
    const env = { GLUE_TIMEOUT_MS: String(setup.glueTimeoutMs ?? 30_000) }
    const child = Processes.start({ name: policy, args: [file("glue.ts"), upstreamUrl], env, inside: true })
    const [, url = ""] = await child.printed(/glue listens on (\S+)/)
    return { policy, url, adminUrl: url, process: child, loop: () => child.ask<LoopReport>("loop") }
  }
  const config = path.join(temporary(), `${++configs}.config.json`)
  fs.writeFileSync(config, JSON.stringify(configOf(upstreamUrl, setup)))
  const child = Processes.start({ name: policy, args: [cli, "serve", "--config", config], inside: true })
  const [, url = "", adminUrl = ""] = await child.printed(/listens on (\S+)[^]*?admin\s+(\S+)\/metrics/)
  return { policy, url, adminUrl, process: child, loop: () => child.ask<LoopReport>("loop") }
}

/** Requests that the server says it is handling; undefined where it does not say. */
export const inFlight = async (server: Server): Promise<number | undefined> => {
  if (server.policy !== "ballast") return undefined
  const text = await (await fetch(`${server.adminUrl}/metrics`)).text()
  const line = text.split("\n").find((each) => each.startsWith("llm_requests_in_flight"))
  return line === undefined ? 0 : Number(line.slice(line.lastIndexOf(" ") + 1))
}

/** Look every 20 ms until it is `ok`, or `limitMs` are over; what was seen last. */
export const poll = async <A>(look: () => Promise<A>, ok: (value: A) => boolean, limitMs: number): Promise<A> => {
  const endsAt = sharedMs() + limitMs
  for (;;) {
    const value = await look()
    if (ok(value) || sharedMs() > endsAt) return value
    await sleep(20)
  }
}

/** What is left after all clients have gone. */
export interface Rest {
  readonly inFlight: number
  readonly upstreamOpen: number
  /** Until nothing was left. */
  readonly tookMs: number
}

/** Look at what is left until nothing is, or `limitMs` are over. */
export const atRest = (server: Server, upstream: Upstream, sinceMs: number, limitMs: number): Promise<Rest> =>
  poll(
    async () => ({
      inFlight: (await inFlight(server)) ?? 0,
      upstreamOpen: await upstream.open(),
      tookMs: sharedMs() - sinceMs
    }),
    (rest) => rest.inFlight === 0 && rest.upstreamOpen === 0,
    limitMs
  )

/**
 * `npm run bench -- replay`: a recorded trace, time-scaled, against a running
 * Ballast server, in an open loop. Every request is accounted for: answered,
 * refused with a reason, cancelled by us, or failed with a reason. Ends with
 * exit code 1 when a request was lost, the server counted otherwise, or a
 * permit was not given back.
 */
import { fork } from "node:child_process"
import { setTimeout as setTimeoutPromise } from "node:timers/promises"
import { parseArgs } from "node:util"
import { Agent } from "undici"
import * as Random from "../../src/layers/provider/sim/random.ts"
import * as Account from "./account.ts"
import * as Counters from "./counters.ts"
import * as Report from "./report.ts"
import * as Trace from "./trace.ts"
import * as Verdict from "./verdict.ts"

const usage = `usage: npm run bench -- replay [--file CSV] [--count 2000] [--scale 60] [--url http://127.0.0.1:8080] [--json]

  --file     trace with t_s,input_tokens,output_tokens; default $BALLAST_DATA/traces/dev/azure2023_conv.csv
  --count    rows to replay
  --scale    times faster than recorded; the simulated provider is as much faster
  --url      a running server; without it one is started, with a simulated provider
  --metrics  the running server's metrics page, default http://127.0.0.1:9464/metrics
  --model    the model to ask for, default sim-chat
  --key      a key, where the server asks for one
  --burst    size of the burst after quiet with --url, default 8
  --json     print one JSON object
`

/** Clients that leave on purpose: a share of all. Half of the streams' leave in the middle, the rest before the answer. */
const leavingShare = 0.05

/** The bulkhead of the server that is started; the burst after quiet is as large. */
const maxInFlight = 32

/** The burst's answers take so long; a permit short, and one of them would take twice as long. */
const burstMs = 500

interface Server {
  readonly api: string
  readonly metrics: string
  readonly stop: () => void
}

/** Real latencies of a provider, times and limits divided by `scale`; everything else as shipped. */
const config = (scale: number) => ({
  server: { port: 0, adminPort: 0, bodyLimitBytes: 8_388_608, drainMs: 2_000 },
  providers: {
    sim: {
      kind: "sim",
      bulkhead: { maxInFlight },
      sim: {
        ttft: { medianMs: 400 / scale, sigma: 0.4 },
        perToken: { medianMs: 15 / scale, sigma: 0.3 },
        tokensPerChunk: 8,
        concurrency: 64
      }
    }
  },
  models: [
    {
      alias: "sim-chat",
      candidates: ["sim/sim-large"],
      price: { inputPerMillion: 2.5, outputPerMillion: 10 }
    }
  ],
  policies: {
    rateLimits: {
      user: { requestsPerMinute: Math.ceil(100 * scale) },
      ip: { requestsPerMinute: Math.ceil(5_000 * scale) },
      global: { requestsPerMinute: Math.ceil(5_000 * scale) }
    }
  }
})

const start = (scale: number): Promise<Server> =>
  new Promise((resolve, reject) => {
    const child = fork(new URL("./server.ts", import.meta.url), [JSON.stringify(config(scale))], {
      stdio: ["ignore", "ignore", "inherit", "ipc"]
    })
    child.once("message", (message) => {
      const at = message as { readonly api: string; readonly metrics: string }
      resolve({ ...at, stop: () => child.disconnect() })
    })
    child.once("exit", (code) => reject(new Error(`the server ended with code ${code}`)))
  })

/** A request without an end so long after the last one was sent is lost. */
const longestMs = 120_000

const word = "tok "

const bodyOf = (row: Trace.Row, model: string, stream: boolean, user: string) => ({
  model,
  messages: [{ role: "user", content: word.repeat(Math.max(1, row.inputTokens)) }],
  max_tokens: Math.max(1, row.outputTokens),
  // Vendor field of the simulated provider: exactly the recorded length. Others ignore it.
  sim: { outputTokens: Math.max(1, row.outputTokens) },
  stream,
  user
})

const leavingOf = (random: Random.Random, stream: boolean, scale: number): Account.Leaving | undefined => {
  if (random() >= leavingShare) return undefined
  return stream && random() < 0.7
    ? { _tag: "AfterPieces", pieces: 1 + Math.floor(random() * 3) }
    : { _tag: "AfterMs", ms: (random() * 1_500) / scale }
}

/** Run the benchmark. */
export const main = async (argv: ReadonlyArray<string>): Promise<void> => {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      file: { type: "string" },
      count: { type: "string", default: "2000" },
      scale: { type: "string", default: "60" },
      url: { type: "string" },
      metrics: { type: "string", default: "http://127.0.0.1:9464/metrics" },
      model: { type: "string", default: "sim-chat" },
      key: { type: "string" },
      burst: { type: "string", default: "8" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false }
    }
  })
  if (values.help) return void process.stdout.write(usage)
  const scale = Number(values.scale)
  const file = values.file ?? `${process.env["BALLAST_DATA"] ?? "../shared/data"}/traces/dev/azure2023_conv.csv`
  const rows = Trace.read(file, Number(values.count))
  if (rows === undefined) {
    process.stderr.write(
      `The trace ${file} is not here. Name one with --file, or the folder of the traces with BALLAST_DATA.\n` +
        "Its first line is t_s,input_tokens,output_tokens (Microsoft's Azure LLM inference trace 2023 is one).\n"
    )
    process.exitCode = 1
    return
  }
  const own = values.url === undefined ? await start(scale) : undefined
  const url = (own?.api ?? values.url ?? "").replace(/\/+$/u, "")
  const metrics = own?.metrics ?? values.metrics
  const dispatcher = new Agent({ connections: null, pipelining: 1 })
  const headers = values.key === undefined ? {} : { authorization: `Bearer ${values.key}` }
  try {
    const before = await Counters.read(metrics)
    const startedAt = performance.now()
    const endings: Array<Account.Ending> = []
    const pending: Array<Promise<void>> = []
    const random = Random.make(2023, 11)
    for (const [index, row] of rows.entries()) {
      const wait = startedAt + (row.atS * 1000) / scale - performance.now()
      if (wait >= 1) await setTimeoutPromise(wait)
      const stream = index % 2 === 0
      pending.push(
        Account.send({
          url,
          headers,
          dispatcher,
          body: bodyOf(row, values.model, stream, `user-${index % 50}`),
          leaving: leavingOf(random, stream, scale)
        }).then((ending) => void endings.push(ending))
      )
    }
    const sentMs = performance.now() - startedAt
    const patience = new AbortController()
    await Promise.race([Promise.all(pending), setTimeoutPromise(longestMs, undefined, { signal: patience.signal })])
    patience.abort()
    const after = before === undefined ? undefined : await Counters.quiet(metrics, 5_000)
    const burst = await burstAfter(
      url,
      headers,
      dispatcher,
      values.model,
      own === undefined ? Number(values.burst) : undefined
    )
    const server = before === undefined || after === undefined ? undefined : Counters.between(before, after)
    const checks = Verdict.checks({ sent: rows.length, endings: [...endings], server, burst })
    const report = {
      file,
      rows: rows.length,
      scale,
      sentInS: sentMs / 1000,
      url,
      ...Report.summary(endings),
      server: server === undefined ? null : Object.fromEntries(server.byOutcome),
      checks
    }
    process.stdout.write(values.json ? `${JSON.stringify(report, null, 2)}\n` : Report.text(report))
    if (checks.some(({ ok }) => !ok)) process.exitCode = 1
  } finally {
    own?.stop()
    await dispatcher.destroy()
  }
}

/** As many requests at once as there are permits, each of exactly {@link burstMs}: one permit short, and the last waits for the first. */
const burstAfter = async (
  url: string,
  headers: Readonly<Record<string, string>>,
  dispatcher: Agent,
  model: string,
  size: number | undefined
): Promise<Verdict.Seen["burst"]> => {
  const count = size ?? maxInFlight
  const endings = await Promise.all(
    Array.from({ length: count }, (_, index) =>
      Account.send({
        url,
        headers,
        dispatcher,
        leaving: undefined,
        body: {
          model,
          messages: [{ role: "user", content: "burst" }],
          max_tokens: 1,
          sim: { ttftMs: burstMs, outputTokens: 1 },
          user: `burst-${index}`
        }
      })
    )
  )
  return {
    size: count,
    answered: endings.filter(({ kind }) => kind === "answered").length,
    slowestMs: Math.max(0, ...endings.map(({ ms }) => ms)),
    limitMs: size === undefined ? burstMs * 1.9 : undefined
  }
}

/**
 * "disconnect": clients go away at random points of their call, before its first token too, and with calls that are not
 * streamed. Measured is for how long the upstream call outlives its client, and what is generated, and billed, meanwhile.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { quantile } from "../../proxy/tally.ts"
import * as Client from "./client.ts"
import { sharedMs } from "./clock.ts"
import { draw } from "./draw.ts"
import { atRest, model, poll, startServer } from "./lab.ts"
import type { Policy, Upstream } from "./lab.ts"
import { limits, noiseShare } from "./row.ts"
import type { Row } from "./row.ts"
import type { CallRecord, Script } from "./script.ts"
import { readLate, starved, watch } from "./stalls.ts"

export interface Sizes {
  readonly calls: number
  /** Calls begin at random moments of this time. */
  readonly overMs: number
  /** Calls that stay to their end, to show that nobody is cut by mistake. */
  readonly staying: number
}

export const sizes: { readonly [K in "full" | "quick"]: Sizes } = {
  full: { calls: 300, overMs: 2_000, staying: 30 },
  quick: { calls: 120, overMs: 1_000, staying: 10 }
}

const maxInFlight = 192
const noiseMs = noiseShare * limits.abortMs

interface Plan {
  readonly atMs: number
  readonly stream: boolean
  readonly script: Script
  /** From the request to the moment the client leaves; undefined: it stays. */
  readonly leaveAfterMs: number | undefined
  readonly reset: boolean
}

const planOf = (seed: number, size: Sizes): ReadonlyArray<Plan> => {
  const { between, unit, whole } = draw(seed, "disconnect")
  return Array.from({ length: size.calls }, (_, index) => {
    const stream = unit() < 0.75
    const script: Script = {
      id: `d${index}`,
      headMs: between(0, 300),
      firstMs: between(0, 300),
      gapMs: whole(20, 45),
      chunks: whole(8, 35),
      chars: whole(4, 60)
    }
    const lengthMs = script.headMs + script.firstMs + (stream ? script.gapMs * script.chunks : 0)
    const leaves = index >= size.staying
    return {
      atMs: between(0, size.overMs),
      stream,
      script,
      leaveAfterMs: leaves ? between(0, lengthMs) : undefined,
      reset: unit() < 0.3
    }
  })
}

interface Left {
  readonly id: string
  readonly atMs: number
}

/** For how long the calls outlived their clients, and the chunks that were written meanwhile. */
const outlived = (left: ReadonlyArray<Left>, calls: ReadonlyMap<string, ReadonlyArray<CallRecord>>) =>
  left.flatMap(({ atMs, id }) =>
    (calls.get(id) ?? [])
      .filter((record) => record.endedAt === undefined || record.endedAt > atMs)
      .map((record) => ({
        fromMs: atMs,
        toMs: record.endedAt ?? Infinity,
        chunks: record.streamed ? record.writes.filter((at) => at > atMs).length : record.how === "done" ? 1 : 0,
        firstSeen: record.writes.some((at) => at <= atMs)
      }))
  )

/** Fill every place at once, and count how many calls the upstream then has: a place that was lost would be missed. */
const burst = async (url: string, upstream: Upstream): Promise<number> => {
  const script = { headMs: 900, firstMs: 1, gapMs: 1, chunks: 1, chars: 4 }
  const calls = Array.from({ length: maxInFlight }, (_, index) =>
    Client.call({ url, model, stream: false, script: { ...script, id: `b${index}` } })
  )
  const most = await poll(
    () => upstream.open(),
    (open) => open === maxInFlight,
    800
  )
  const all = await Promise.all(calls.map((call) => call.over))
  return Math.min(most, all.filter(({ ending }) => ending === "complete").length)
}

export const run = async (policy: Policy, seed: number, size: Sizes, upstream: Upstream): Promise<Row> => {
  const server = await startServer(policy, upstream.url, { maxInFlight })
  try {
    // One call of each kind first: the server's first ones load code.
    for (const stream of [true, false]) {
      const script = { id: `w${stream}`, headMs: 1, firstMs: 1, gapMs: 1, chunks: 5, chars: 8 }
      await Promise.all(Array.from({ length: 20 }, () => Client.call({ url: server.url, model, stream, script }).over))
    }
    await upstream.clear()
    await upstream.loop()
    await server.loop()
    const own = watch()

    const plans = planOf(seed, size)
    const left: Array<Left> = []
    const seen = await Promise.all(
      plans.map(async ({ atMs, leaveAfterMs, reset, script, stream }) => {
        await sleep(atMs)
        const call = Client.call({ url: server.url, model, stream, script })
        if (leaveAfterMs !== undefined) {
          setTimeout(() => {
            if (call.seen().ending === undefined) left.push({ id: script.id, atMs: call.leave(reset) })
          }, leaveAfterMs)
        }
        return call.over
      })
    )
    const rest = await atRest(server, upstream, sharedMs(), 8_000)
    const calls = await upstream.calls()
    const loop = await upstream.loop()
    const serverLoop = await server.loop()
    const ownLoop = own.end()
    // Of this process, it is the moment between reading the clock and closing the socket that counts.
    const isClear = ({ fromMs, toMs }: { readonly fromMs: number; readonly toMs: number }): boolean =>
      !readLate(loop.stalls, fromMs, toMs, noiseMs) &&
      !starved(serverLoop.stalls, fromMs, toMs, noiseMs) &&
      !starved(ownLoop.stalls, fromMs, fromMs + 1, noiseMs)
    const all = outlived(left, calls)
    const clear = all.filter((each) => policy !== "ballast" || isClear(each))
    const stayed = seen.filter((_, index) => plans[index]?.leaveAfterMs === undefined)
    const after = all.reduce((sum, { chunks }) => sum + chunks, 0)
    const billed = [...calls.values()]
      .flat()
      .reduce((sum, record) => sum + (record.streamed ? record.writes.length : 1), 0)
    const took = (some: typeof all) => some.map(({ fromMs, toMs }) => toMs - fromMs)
    const burstInFlight = policy === "ballast" ? await burst(server.url, upstream) : null
    return {
      scenario: "S9",
      variant: "disconnect",
      policy,
      seed,
      abort_p99_ms: quantile(took(clear), 0.99),
      abort_p50_ms: quantile(took(clear), 0.5),
      abort_max_ms: Math.max(...took(clear)),
      abort_raw_p99_ms: quantile(took(all), 0.99),
      samples: clear.length,
      samples_excluded: all.length - clear.length,
      before_first_token: all.filter(({ firstSeen }) => !firstSeen).length,
      never_called: left.filter(({ id }) => !calls.has(id)).length,
      tokens_after_abort: quantile(
        clear.map(({ chunks }) => chunks),
        0.99
      ),
      tokens_after_abort_mean: after / all.length,
      extra_cost_ratio: billed / (billed - after),
      attempts_per_request: [...calls.values()].flat().length / calls.size,
      stayed_complete_ratio: stayed.filter(({ ending }) => ending === "complete").length / stayed.length,
      in_flight_after: policy === "ballast" ? rest.inFlight : null,
      upstream_open_after: rest.upstreamOpen,
      at_rest_ms: rest.tookMs,
      places_back_ratio: burstInFlight === null ? null : burstInFlight / maxInFlight,
      server_loop_p99_ms: serverLoop.delayP99Ms,
      server_loop_max_ms: serverLoop.delayMaxMs,
      upstream_loop_p99_ms: loop.delayP99Ms,
      upstream_loop_max_ms: loop.delayMaxMs
    }
  } finally {
    await server.process.kill()
    await upstream.clear()
  }
}

/**
 * "stalled": an upstream that falls silent, before its head, after it, or in the middle of an answer. The call must be
 * cut when its time is over, the client must be told so by a typed error, and must never take what came for complete.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { quantile } from "../../proxy/tally.ts"
import * as Client from "./client.ts"
import type { Seen } from "./client.ts"
import { sharedMs } from "./clock.ts"
import { draw } from "./draw.ts"
import { atRest, model, startServer } from "./lab.ts"
import type { Policy, Upstream } from "./lab.ts"
import { limits, noiseShare } from "./row.ts"
import type { Row } from "./row.ts"
import type { Script } from "./script.ts"
import { readLate, starved, watch } from "./stalls.ts"

export interface Sizes {
  readonly calls: number
  readonly overMs: number
  /** Calls beside them whose upstream does not stall. */
  readonly healthy: number
}

export const sizes: { readonly [K in "full" | "quick"]: Sizes } = {
  full: { calls: 60, overMs: 800, healthy: 10 },
  quick: { calls: 16, overMs: 300, healthy: 4 }
}

/** Longest silence between chunks, and longest time to the first one (or to an answer that is not streamed). */
const idleMs = 1_000
const firstTokenMs = 1_500

const noiseMs = noiseShare * limits.cutLateMs

/** The baseline's timeout is for the whole answer: as long as the longest that is healthy needs. */
const glueTimeoutMs = 3_000

interface Plan {
  readonly atMs: number
  readonly stream: boolean
  readonly script: Script
}

const planOf = (seed: number, size: Sizes): ReadonlyArray<Plan> => {
  const { between, pick, unit, whole } = draw(seed, "stalled")
  return Array.from({ length: size.calls + size.healthy }, (_, index) => {
    const chunks = whole(10, 30)
    const silent = unit() < 0.3 ? pick<"head" | 0>(["head", 0]) : whole(1, chunks - 1)
    return {
      atMs: between(0, size.overMs),
      stream: unit() < 0.8,
      script: {
        id: `t${index}`,
        headMs: between(0, 100),
        firstMs: between(0, 200),
        gapMs: whole(10, 40),
        chunks,
        chars: whole(4, 60),
        ...(index < size.calls ? { silent } : {})
      }
    }
  })
}

/** What the call waited for when it was cut, and how long it may wait for that. */
const waitOf = (plan: Plan, seen: Seen): { readonly fromMs: number; readonly limitMs: number } =>
  plan.stream && typeof plan.script.silent === "number" && plan.script.silent > 0
    ? { fromMs: seen.arrivals.at(-1) ?? seen.sentAt, limitMs: idleMs }
    : { fromMs: seen.sentAt, limitMs: firstTokenMs }

export const run = async (policy: Policy, seed: number, size: Sizes, upstream: Upstream): Promise<Row> => {
  const server = await startServer(policy, upstream.url, {
    timeouts: { idleMs, firstTokenMs },
    maxRetries: 0,
    glueTimeoutMs
  })
  try {
    await upstream.clear()
    const own = watch()
    await server.loop()
    const plans = planOf(seed, size)
    const all = await Promise.all(
      plans.map(async (plan) => {
        await sleep(plan.atMs)
        const { script, stream } = plan
        return { plan, seen: await Client.call({ url: server.url, model, stream, script }).over }
      })
    )
    const rest = await atRest(server, upstream, sharedMs(), 1_000)
    const loop = own.end()
    const serverLoop = await server.loop()
    const cut = all.filter(({ plan }) => plan.script.silent !== undefined)
    const healthy = all.filter(({ plan }) => plan.script.silent === undefined)
    const waits = cut.map(({ plan, seen }) => {
      const { fromMs, limitMs } = waitOf(plan, seen)
      const dueAt = fromMs + limitMs
      return { dueAt, toMs: seen.endedAt ?? Infinity, ending: seen.ending }
    })
    const clear = waits.filter(
      ({ dueAt, toMs }) =>
        policy !== "ballast" ||
        (!readLate(loop.stalls, dueAt, toMs, noiseMs) && !starved(serverLoop.stalls, dueAt, toMs, noiseMs))
    )
    const late = clear.map(({ dueAt, toMs }) => toMs - dueAt)
    return {
      scenario: "S9",
      variant: "stalled",
      policy,
      seed,
      cut_late_max_ms: Math.max(...late),
      cut_late_p99_ms: quantile(late, 0.99),
      cut_late_p50_ms: quantile(late, 0.5),
      samples: clear.length,
      samples_excluded: waits.length - clear.length,
      told_ratio: waits.filter(({ ending }) => ending === "told").length / waits.length,
      clean_ends: waits.filter(({ ending }) => ending === "clean" || ending === "complete").length,
      healthy_complete_ratio: healthy.filter(({ seen }) => seen.ending === "complete").length / healthy.length,
      in_flight_after: policy === "ballast" ? rest.inFlight : null,
      upstream_open_after: rest.upstreamOpen,
      server_loop_p99_ms: serverLoop.delayP99Ms,
      server_loop_max_ms: serverLoop.delayMaxMs,
      clients_loop_p99_ms: loop.delayP99Ms,
      clients_loop_max_ms: loop.delayMaxMs
    }
  } finally {
    await server.process.kill()
    await upstream.clear()
  }
}

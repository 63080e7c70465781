/**
 * "slow-readers": an upstream that sends as fast as it can, and clients that read nothing, or read slowly but steadily.
 * What the server holds for each of them must stay within the bound of its queues, its upstream must be held back, who
 * takes nothing must be cut in time, who takes little must not, and calls beside them must not notice.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { rssBytes } from "../../proxy/process-stats.ts"
import { quantile } from "../../proxy/tally.ts"
import * as Client from "./client.ts"
import { sharedMs } from "./clock.ts"
import { draw } from "./draw.ts"
import type { Draw } from "./draw.ts"
import type { Memory } from "../../child/live-memory.ts"
import { atRest, besideModel, model, poll, startServer } from "./lab.ts"
import type { Policy, Server, Upstream } from "./lab.ts"
import { limits, noiseShare } from "./row.ts"
import type { Row } from "./row.ts"
import type { CallRecord, Script } from "./script.ts"
import { readLate, starved, watch } from "./stalls.ts"

export interface Sizes {
  /** Streams whose clients stop reading. */
  readonly stuck: number
  /** Streams whose clients read slowly. */
  readonly slow: number
  /** Answers in one piece whose clients stop reading. */
  readonly whole: number
  /** Streams at an ordinary pace, with clients that read. */
  readonly healthy: number
}

export const sizes: { readonly [K in "full" | "quick"]: Sizes } = {
  full: { stuck: 22, slow: 3, whole: 2, healthy: 15 },
  quick: { stuck: 20, slow: 2, whole: 2, healthy: 10 }
}

/** `server.maxBufferedBytes`: the shipped default, written down because the target is made of it. */
export const maxBufferedBytes = 262_144

const slowClientMs = 1_500

/** More than all the kernel's buffers between two processes of this machine take for one stream. */
const streamBytes: { readonly [P in Policy]: number } = { ballast: 1e9, "promise-race": 10e6 }
const wholeBytes = 10_000_000
const healthyMs = 4_500

const floodOf = (id: string, bytes: number, { whole }: Draw): Script => {
  const chars = whole(1_000, 8_000)
  return { id, headMs: 0, firstMs: 0, gapMs: 0, chunks: Math.ceil(bytes / chars), chars, flood: true }
}

/** The baseline is shown, not measured: half of the load will do. */
const halved = (size: Sizes): Sizes => ({ ...size, stuck: Math.ceil(size.stuck / 2), slow: 1, healthy: 10 })

/** Read at so many bytes a second, a little at a time, until the call is over. */
const readSlowly = (ask: Client.Ask, bytesPerSecond: number): Client.Call => {
  const everyMs = 25
  let left = 0
  const call = Client.call({
    ...ask,
    onData: (bytes) => {
      left -= bytes
      if (left < 0) call.pause()
    }
  })
  const timer = setInterval(() => {
    left = Math.min(left + (bytesPerSecond * everyMs) / 1_000, bytesPerSecond / 10)
    if (left > 0) call.resume()
    if (call.seen().ending !== undefined) clearInterval(timer)
  }, everyMs)
  return call
}

/** Stop reading once so many bytes are here; whoever resumes the call reads the rest. */
const stopReading = (ask: Client.Ask, afterBytes: number): Client.Call => {
  let left = afterBytes
  const call = Client.call({
    ...ask,
    onData: (bytes) => {
      if (left > 0 && (left -= bytes) <= 0) call.pause()
    }
  })
  return call
}

/** All streams read as fast as they come, so that the server has its code and its heap before it is measured. */
const warm = async ({ url }: Server, size: Sizes, upstream: Upstream, draws: Draw): Promise<void> => {
  const scripts = Array.from({ length: size.stuck }, (_, index) => floodOf(`w${index}`, 1e6, draws))
  await Promise.all(scripts.map((script) => Client.call({ url, model, stream: true, blind: true, script }).over))
  await upstream.clear()
}

interface Gap {
  readonly fromMs: number
  readonly toMs: number
}

const gapsOf = (arrivals: ReadonlyArray<number>): ReadonlyArray<Gap> =>
  arrivals.slice(1).map((toMs, index) => ({ fromMs: arrivals[index] ?? toMs, toMs }))

export const run = async (
  policy: Policy,
  seed: number,
  ours: Sizes,
  upstream: Upstream,
  beside: Upstream
): Promise<Row> => {
  const size = policy === "ballast" ? ours : halved(ours)
  const draws = draw(seed, "slow-readers")
  const server = await startServer(policy, upstream.url, {
    server: { slowClientMs, maxBufferedBytes },
    besideUrl: beside.url,
    // Longer than the clients are waited for: what is measured is that they are cut, not that all ends some time.
    glueTimeoutMs: 60_000
  })
  const { url } = server
  try {
    await warm(server, size, upstream, draws)
    await beside.loop()
    await server.loop()
    const own = watch()

    // The baseline has one upstream only; its healthy streams wait for what that has to do.
    const healthyModel = policy === "ballast" ? besideModel : model
    const healthy = Array.from({ length: size.healthy }, (_, index) => {
      const gapMs = draws.whole(15, 35)
      const script = {
        id: `h${index}`,
        headMs: 0,
        firstMs: 10,
        gapMs,
        chunks: Math.floor(healthyMs / gapMs),
        chars: 20
      }
      return Client.call({ url, model: healthyModel, stream: true, script })
    })
    await Promise.all(healthy.map((call) => call.head))
    const before = await server.process.ask<Memory>("memory")
    await sleep(50)
    const stuckFrom = sharedMs()
    const stuck = Array.from({ length: size.stuck }, (_, index) => {
      const script = floodOf(`s${index}`, streamBytes[policy], draws)
      const after = draws.unit() < 0.5 ? 1 : draws.between(1, 500_000)
      return stopReading({ url, model, stream: true, blind: true, script }, after)
    })
    const slow = Array.from({ length: size.slow }, (_, index) => {
      const script = floodOf(`l${index}`, 1e9, draws)
      return readSlowly({ url, model, stream: true, blind: true, script }, draws.between(1e6, 2e6))
    })

    let rssPeak = 0
    const stuckNow = async () => {
      rssPeak = Math.max(rssPeak, rssBytes(server.process.pid))
      return [...(await upstream.calls()).values()].flat().filter(({ id }) => id.startsWith("s"))
    }
    // Held back: nothing could be handed over for a while, and not because the stream is at its end.
    const isHeld = ({ blockedAt, endedAt }: CallRecord): boolean =>
      blockedAt !== undefined && (endedAt ?? sharedMs()) - blockedAt > 200
    const held = await poll(
      stuckNow,
      (calls) => calls.length === size.stuck && calls.every((call) => call.endedAt !== undefined || isHeld(call)),
      6_000
    )
    const streams = held.filter(({ endedAt }) => policy !== "ballast" || endedAt === undefined).length + size.slow
    const askedAt = sharedMs()
    const during = await server.process.ask<Memory>("memory")
    const collection = { fromMs: askedAt, toMs: sharedMs() + 50 }

    const wholes = Array.from({ length: size.whole }, (_, index) => {
      const script = { id: `x${index}`, headMs: 0, firstMs: 0, gapMs: 0, chunks: 1, chars: wholeBytes }
      return stopReading({ url, model, stream: false, blind: true, script }, 1)
    })
    // In time or not, is seen below; a busy machine takes long to fill all the buffers first.
    const cut = await poll(
      stuckNow,
      (calls) => calls.every(({ endedAt }) => endedAt !== undefined),
      policy === "ballast" ? 10_000 : slowClientMs + 1_500
    )
    const slowCut = slow.filter((call) => call.seen().ending !== undefined).length
    const heads = await Promise.all(wholes.map((call) => call.head.then(() => sharedMs())))
    await sleep(Math.max(0, Math.max(...heads) + slowClientMs * 1.25 + 500 - sharedMs()))
    for (const call of wholes) call.resume()
    const wholeEnds = await Promise.all(wholes.map((call) => call.over))
    for (const call of [...stuck, ...slow]) call.leave(false)
    const healthyEnds = await Promise.all(healthy.map((call) => call.over))
    const rest = await atRest(server, upstream, sharedMs(), policy === "ballast" ? 2_000 : 0)

    const loop = own.end()
    const besideLoop = await beside.loop()
    const serverLoop = await server.loop()
    const gaps = healthyEnds.flatMap(({ arrivals }) => gapsOf(arrivals)).filter(({ toMs }) => toMs > stuckFrom)
    const clear = gaps.filter(
      ({ fromMs, toMs }) =>
        policy !== "ballast" ||
        (!readLate([...loop.stalls, ...besideLoop.stalls], fromMs, toMs, noiseShare * limits.gapMs) &&
          !starved(serverLoop.stalls, fromMs, toMs, noiseShare * limits.gapMs) &&
          (toMs < collection.fromMs || fromMs > collection.toMs))
    )
    const gone = cut.flatMap(({ blockedAt, endedAt, how }) =>
      how === "gone" && endedAt !== undefined && blockedAt !== undefined
        ? [{ dueAt: blockedAt + slowClientMs, toMs: endedAt }]
        : []
    )
    const late = gone.flatMap(({ dueAt, toMs }) =>
      starved(serverLoop.stalls, dueAt, toMs, noiseShare * limits.cutLateMs) ? [] : [toMs - dueAt]
    )
    const rssGrowth = rssPeak - before.rssBytes
    return {
      scenario: "S9",
      variant: "slow-readers",
      policy,
      seed,
      memory_bytes_per_stream: (during.liveBytes - before.liveBytes) / streams,
      rss_growth_bytes: rssGrowth,
      rss_bytes_per_stream: rssGrowth / streams,
      streams,
      paused_ratio: cut.filter((call) => call.how !== "done" && isHeld(call)).length / size.stuck,
      upstream_bytes_max: Math.max(...cut.map(({ bytes }) => bytes)),
      cut_ratio: gone.length / size.stuck,
      cut_late_max_ms: late.length === 0 ? null : Math.max(...late),
      cuts_excluded: gone.length - late.length,
      whole_cut_ratio: wholeEnds.filter(({ ending }) => ending === "lost").length / size.whole,
      slow_readers_cut: slowCut,
      healthy_complete_ratio: healthyEnds.filter(({ ending }) => ending === "complete").length / size.healthy,
      gap_p99_ms: quantile(
        clear.map(({ fromMs, toMs }) => toMs - fromMs),
        0.99
      ),
      gap_raw_p99_ms: quantile(
        gaps.map(({ fromMs, toMs }) => toMs - fromMs),
        0.99
      ),
      gaps: clear.length,
      gaps_excluded: gaps.length - clear.length,
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
    await beside.clear()
  }
}

/**
 * "rolling-restart": two servers behind a balancer under open-loop load; each in turn is told to stop (SIGTERM) while
 * its successor starts. Every stream is short enough to end within the grace, so every one must end whole; a request
 * that comes too late may be refused with the typed refusal, and nothing may be lost without a word.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { quantile } from "../../proxy/tally.ts"
import * as Balancer from "./balancer.ts"
import type { Sent } from "./balancer.ts"
import { sharedMs } from "./clock.ts"
import { draw } from "./draw.ts"
import { model, startServer } from "./lab.ts"
import type { Policy, Server, Upstream } from "./lab.ts"
import type { Row } from "./row.ts"
import type { Script } from "./script.ts"

export interface Sizes {
  readonly perSecond: number
  /** Load before the first signal, and after the last successor is up. */
  readonly aroundMs: number
  /** Longest stream. */
  readonly longestMs: number
}

export const sizes: { readonly [K in "full" | "quick"]: Sizes } = {
  full: { perSecond: 80, aroundMs: 400, longestMs: 1_200 },
  quick: { perSecond: 40, aroundMs: 400, longestMs: 800 }
}

const setup = { server: { drainMs: 8_000 }, maxInFlight: 512 }

/** Tell one server to stop and start another; resolves when the one has ended and the other answers. */
const replace = async (policy: Policy, upstream: Upstream, balancer: Balancer.Balancer, old: Server) => {
  const beganAt = sharedMs()
  old.process.signal("SIGTERM")
  const ended = old.process.ended.then((code) => ({ code, tookMs: sharedMs() - beganAt }))
  const successor = await startServer(policy, upstream.url, setup)
  balancer.add(successor)
  const { code, tookMs } = await ended
  balancer.remove(old)
  return { successor, code, tookMs }
}

export const run = async (policy: Policy, seed: number, size: Sizes, upstream: Upstream): Promise<Row> => {
  const { between, unit, whole } = draw(seed, "rolling-restart")
  const balancer = Balancer.make()
  const servers: Array<Server> = []
  const started = async (): Promise<Server> => {
    const server = await startServer(policy, upstream.url, setup)
    servers.push(server)
    return server
  }
  try {
    const [first, second] = await Promise.all([started(), started()])
    balancer.add(first)
    balancer.add(second)
    await upstream.clear()

    const sent: Array<Promise<Sent>> = []
    const state = { on: true }
    const load = async (): Promise<void> => {
      let dueAt = sharedMs()
      while (state.on) {
        // Open loop: the next request comes when it is due, whatever became of those before.
        dueAt += -Math.log(1 - unit()) * (1_000 / size.perSecond)
        await sleep(Math.max(0, dueAt - sharedMs()))
        const stream = unit() < 0.75
        const gapMs = whole(15, 35)
        const script: Script = {
          id: `r${sent.length}`,
          headMs: between(0, 100),
          firstMs: between(0, 100),
          gapMs,
          chunks: Math.max(1, Math.floor(between(200, size.longestMs - 200) / gapMs)),
          chars: whole(4, 60)
        }
        sent.push(balancer.send({ model, stream, script }, unit() < 0.5))
      }
    }
    const loading = load()
    await sleep(size.aroundMs + between(0, 300))
    const one = await replace(policy, upstream, balancer, first)
    servers.push(one.successor)
    await sleep(between(100, 300))
    const two = await replace(policy, upstream, balancer, second)
    servers.push(two.successor)
    await sleep(size.aroundMs)
    state.on = false
    await loading
    const all = await Promise.all(sent)
    const calls = await upstream.calls()

    const sum = (of: (each: Sent) => number): number => all.reduce((total, each) => total + of(each), 0)
    const hasBegun = ({ firstMs, id }: Sent): boolean => firstMs !== undefined || calls.has(id)
    const failed = all.filter(({ code, ending }) => ending !== "complete" && code !== "shutting_down")
    const failures = [...new Set(failed.map(({ code, ending }) => `${ending} ${code ?? ""}`))]
    return {
      scenario: "S9",
      variant: "rolling-restart",
      policy,
      seed,
      dropped_in_grace: failed.filter(hasBegun).length,
      lost_silently: failed.filter((each) => each.ending === "lost" && !hasBegun(each)).length,
      success_ratio: all.filter(({ ending }) => ending === "complete").length / all.length,
      requests: all.length,
      refused_typed: sum((each) => each.refused),
      refused_connections: sum((each) => each.unsent),
      attempts_per_request: [...calls.values()].flat().length / all.length,
      clean_exits: [one, two].filter(({ code }) => code === 0).length,
      drain_max_ms: Math.max(one.tookMs, two.tookMs),
      ttft_p99_ms: quantile(
        all.flatMap(({ firstMs }) => (firstMs === undefined ? [] : [firstMs])),
        0.99
      ),
      failures: failures.join(", ")
    }
  } finally {
    balancer.stop()
    await Promise.all(servers.map((server) => server.process.kill()))
    await upstream.clear()
  }
}

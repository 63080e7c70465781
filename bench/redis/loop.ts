/**
 * The open loop: a request each 1/2300 s, whatever became of those before it, from a clock in a thread of its own. Each
 * asks for all it needs in one admission, waits for it, holds it for a while, and settles.
 */
import { Worker } from "node:worker_threads"
import { Effect } from "effect"
import type { ManagedRuntime } from "effect"
import { monotonicMs } from "../proxy/pacer.ts"
import type { Schedule } from "../proxy/pacer.ts"
import * as Decision from "../scenarios/stores/decision.ts"
import { callers, holdMs, perSecond } from "./setup.ts"
import type { Guards } from "./setup.ts"

/** One run of the loop. */
export interface Seen {
  /** ms from each request's question to its answer. */
  readonly tripMs: ReadonlyArray<number>
  readonly failed: number
  /** µs of CPU of this process, all threads. */
  readonly cpuMicros: number
  readonly tookMs: number
}

const ask = { inputTokens: 1_000, outputTokens: 500 }
const spending = { inputTokens: 1_000, outputTokens: 120, cost: 4_800, outcome: "ok" }

const cpuMicros = (): number => {
  const { system, user } = process.cpuUsage()
  return user + system
}

/** Run it for `forMs`. `what`: all guards, or leases alone. */
export const run = async (
  runtime: ManagedRuntime.ManagedRuntime<Guards, never>,
  what: "all" | "lease",
  forMs: number
): Promise<Seen> => {
  const decide = await runtime.runPromise(Decision.make)
  const fork = await runtime.runPromise(Effect.map(Effect.context<Guards>(), (context) => Effect.runForkWith(context)))
  const tripMs: Array<number> = []
  let failed = 0
  let over = 0
  const ticks = Math.round((forMs / 1_000) * perSecond)
  const request = (index: number) => {
    const caller = callers[index % callers.length]!
    return Effect.suspend(() => {
      const since = performance.now()
      return Effect.flatMap(decide(caller, what, ask), ({ budget, rate }) => {
        tripMs.push(performance.now() - since)
        return Effect.map(Effect.sleep(holdMs), () => {
          budget?.settle(spending)
          rate?.settle(spending.inputTokens + spending.outputTokens)
        })
      })
    }).pipe(
      Effect.scoped,
      Effect.catch(() =>
        Effect.sync(() => {
          failed++
        })
      ),
      Effect.ensuring(
        Effect.sync(() => {
          over++
        })
      )
    )
  }
  const worker = new Worker(new URL("../proxy/pacer.ts", import.meta.url))
  const startMs = monotonicMs() + 50
  const cpu = cpuMicros()
  const since = performance.now()
  await new Promise<void>((resolve) => {
    worker.on("message", (tick: number) => {
      fork(request(tick))
      if (tick === ticks - 1) resolve()
    })
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker thread has no origin
    worker.postMessage({ startMs, intervalMs: 1_000 / perSecond, ticks } satisfies Schedule)
  })
  // The last ones settle; at most a second in all.
  // oxlint-disable-next-line eslint/no-unmodified-loop-condition -- callbacks change it
  for (let turn = 0; turn < 100 && over < ticks; turn++)
    await new Promise((resolve) => setTimeout(resolve, holdMs / 10))
  const tookMs = performance.now() - since
  const used = cpuMicros() - cpu
  await worker.terminate()
  return { tripMs, failed: failed + (ticks - over), cpuMicros: used, tookMs }
}

/**
 * Memory of calls in flight, in a process of its own with `--expose-gc`: many
 * calls wait on an upstream that never answers, then all are given up. Sends its
 * result to its parent as a message.
 */
import { Effect, Fiber } from "effect"
import { Bulkhead } from "../../src/services/bulkhead.ts"
import { complete } from "../../src/programs/complete.ts"
import * as Stack from "./stack.ts"

/** Bytes of heap for each call, and how long starting and giving up all of them took (ms). */
export interface InFlight {
  readonly calls: number
  readonly bareBytes: number
  readonly ballastBytes: number
  readonly policyBytes: number
  readonly launchMs: number
  readonly releaseMs: number
  /** Permits still taken, and bytes a call still held, after all were given up. */
  readonly permitsLeft: number
  readonly bytesLeft: number
}

const heap = () => {
  for (let i = 0; i < 3; i++) globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

const launched = Effect.fnUntraced(function* (
  calls: number,
  each: Effect.Effect<unknown, unknown, Stack.Services>
): Effect.fn.Return<
  {
    readonly bytes: number
    readonly left: number
    readonly launchMs: number
    readonly releaseMs: number
    readonly permitsLeft: number
  },
  never,
  Stack.Services
> {
  const { state } = yield* Bulkhead
  const before = heap()
  let fibers: Array<Fiber.Fiber<unknown, unknown>> = []
  const startedAt = performance.now()
  for (let i = 0; i < calls; i++) fibers.push(yield* Effect.forkDetach(each, { startImmediately: true }))
  const launchMs = performance.now() - startedAt
  yield* Effect.sleep("50 millis")
  const bytes = (heap() - before) / calls
  const gaveUpAt = performance.now()
  yield* Fiber.interruptAll(fibers)
  const releaseMs = performance.now() - gaveUpAt
  fibers = []
  yield* Effect.sleep("50 millis")
  const { inFlight, queued } = yield* state(Stack.candidate.provider)
  return { bytes, left: (heap() - before) / calls, launchMs, releaseMs, permitsLeft: inFlight + queued }
})

const program = (calls: number): Effect.Effect<InFlight> =>
  Effect.scoped(
    Effect.gen(function* () {
      const services = yield* Stack.context(Stack.hung)
      const bare = Effect.scoped(Stack.hung.open(Stack.candidate, Stack.openRequest))
      const guarded = Effect.scoped(complete(Stack.chat, Stack.body))
      const measure = (each: typeof guarded | typeof bare) =>
        Effect.provideContext(
          // The first time warms up; what it leaves behind (code, series of metrics) is no call's own.
          Effect.andThen(launched(calls, each), launched(calls, each)),
          services
        )
      const plain = yield* measure(bare)
      const ballast = yield* measure(guarded)
      return {
        calls,
        bareBytes: plain.bytes,
        ballastBytes: ballast.bytes,
        policyBytes: ballast.bytes - plain.bytes,
        launchMs: ballast.launchMs,
        releaseMs: ballast.releaseMs,
        permitsLeft: ballast.permitsLeft,
        bytesLeft: ballast.left
      }
    })
  )

if (process.send !== undefined) {
  const result = await Effect.runPromise(program(Number(process.argv[2] ?? "10000")))
  process.send(result)
  process.disconnect()
}

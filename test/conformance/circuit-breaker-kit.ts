/** What the suites of the CircuitBreaker port have in common: a policy, calls with their verdicts, ways into each state. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Layer, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { BreakerPolicy } from "../../src/domain/policy.ts"
import { CircuitBreaker } from "../../src/services/circuit-breaker.ts"
import type { BreakerLease, BreakerTransition } from "../../src/services/circuit-breaker.ts"

export const policy: BreakerPolicy = {
  windowMs: 10_000,
  minimumCalls: 10,
  failureRate: 0.5,
  slowRate: 0.8,
  slowMs: 1_000,
  slowGapMs: 500,
  slowFactor: 4,
  openMs: 5_000,
  maxOpenMs: 20_000,
  probes: 3,
  maxOpenShare: 0.67
}

/** The longest that an open time of `openMs` can be with its jitter. */
export const longestOpenMs = 6_000

export const key = "openai/gpt"

export const acquire = (of = key) => Effect.flatMap(CircuitBreaker, (breaker) => breaker.acquire(of))
export const stateOf = (of = key) => Effect.flatMap(CircuitBreaker, (breaker) => breaker.state(of))

/** One call with its verdict. */
export const call = (verdict: (lease: BreakerLease) => void, of = key) =>
  Effect.scoped(Effect.map(acquire(of), verdict))
export const ok = call((lease) => lease.succeed(10))
export const slow = call((lease) => lease.succeed(1_001))
export const bad = call((lease) => lease.fail())

export const times = <A, E, R>(count: number, effect: Effect.Effect<A, E, R>) =>
  Effect.forEach(Array.from({ length: count }), () => effect, { discard: true })

/** The same, one each `everyMs`. */
export const paced = <A, E, R>(count: number, everyMs: number, effect: Effect.Effect<A, E, R>) =>
  times(count, Effect.andThen(TestClock.adjust(everyMs), effect))

/** A lease that stays open until its `close`. */
export const hold = (of = key) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const lease = yield* Scope.provide(acquire(of), scope)
    return { lease, close: Scope.close(scope, Exit.void) }
  })

/** The same of a call that has left. */
export const run = (of = key, streamed = true) =>
  Effect.tap(hold(of), ({ lease }) => Effect.sync(() => assert.isTrue(lease.begin(streamed))))

export const refusal = (of = key) => Effect.map(Effect.flip(Effect.scoped(acquire(of))), ({ reason }) => reason)

/** Open it, and wait until it may be probed. */
export const toHalfOpen = Effect.gen(function* () {
  yield* times(10, bad)
  assert.strictEqual(yield* stateOf(), "open")
  yield* TestClock.adjust(longestOpenMs)
  assert.strictEqual(yield* stateOf(), "half-open")
})

/** How long it stays open from now, to 50 ms. */
export const openFor = Effect.gen(function* () {
  let ms = 0
  while ((yield* stateOf()) === "open") {
    yield* TestClock.adjust(50)
    ms += 50
  }
  return ms
})

/** All transitions from now on, in an array that fills as time passes. */
export const transitions = Effect.gen(function* () {
  const breaker = yield* CircuitBreaker
  const seen: Array<BreakerTransition> = []
  yield* breaker.transitions.pipe(
    Stream.runForEach((transition) => Effect.sync(() => seen.push(transition))),
    Effect.forkScoped({ startImmediately: true })
  )
  yield* Effect.yieldNow
  return seen
})

/** Let the subscriber of {@link transitions} catch up. */
export const delivered = times(5, Effect.yieldNow)

export type MakeLayer = (policy: BreakerPolicy) => Layer.Layer<CircuitBreaker>

/** `it.effect` over a layer; `values` differ from {@link policy}. */
export const tester =
  (layer: MakeLayer) =>
  <A, E>(title: string, test: Effect.Effect<A, E, CircuitBreaker | Scope.Scope>, values: Partial<BreakerPolicy> = {}) =>
    it.effect(title, () => Effect.provide(test, layer({ ...policy, ...values })))

/** A stream whose first token takes so long. */
export const first = (ms: number) =>
  call((lease) => {
    lease.begin()
    lease.succeed(ms)
  })

/** A whole answer. */
export const whole = (ms: number) =>
  call((lease) => {
    lease.begin(false)
    lease.succeed(ms)
  })

/** Calls that may be refused, one each `everyMs`. */
export const tries = <A, E, R>(count: number, everyMs: number, effect: Effect.Effect<A, E, R>) =>
  paced(count, everyMs, Effect.ignore(effect))

export const closed = (message?: string) =>
  Effect.map(stateOf(), (state) => assert.strictEqual(state, "closed", message))

export const is = (expected: string) => Effect.map(stateOf(), (state) => assert.strictEqual(state, expected))

/** Assert a time of `openMs` under jitter, read to 50 ms. */
export const lasts = (ms: number, openMs: number) => {
  assert.isAtLeast(ms, openMs * 0.8)
  assert.isAtMost(ms, openMs * 1.2 + 50)
}

/** What the bulkhead's suites have in common: policies, claims, and places that are held until a test lets them go. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import type { BulkheadPolicy } from "../../src/domain/policy.ts"
import type { BulkheadError, DeadlineError } from "../../src/domain/errors.ts"
import { Bulkhead } from "../../src/services/bulkhead.ts"
import type { BulkheadPermit, BulkheadRequest } from "../../src/services/bulkhead.ts"
import * as Deadline from "../../src/services/deadline.ts"

/** Makes the layer under test, with its timers inside. */
export type MakeLayer = (
  policy: BulkheadPolicy,
  overrides?: Record<string, Partial<BulkheadPolicy>>
) => Layer.Layer<Bulkhead>

/** A suite that is run on each layer. */
export type Suite = (name: string, layer: MakeLayer) => void

/** Two places, three that wait, for a second at most. */
export const base: BulkheadPolicy = {
  maxInFlight: 2,
  minInFlight: 1,
  adaptive: false,
  maxQueue: 3,
  maxWaitMs: 1_000,
  shares: { critical: 0.6, standard: 0.3, background: 0.1 },
  premiumWeight: 2
}

/** A policy with some values of its own. */
export const policyOf = (values: Partial<BulkheadPolicy>): BulkheadPolicy => ({ ...base, ...values })

/** Much room to wait in, for a long time. */
export const roomy = (values: Partial<BulkheadPolicy>): BulkheadPolicy =>
  policyOf({ maxQueue: 10_000, maxWaitMs: 10_000_000, ...values })

/** A claim. */
export const ask = (request: Partial<BulkheadRequest> = {}): BulkheadRequest => ({
  key: "openai",
  tenant: "acme",
  plan: "standard",
  tokens: 100,
  priority: "critical",
  streamed: true,
  deadline: Deadline.none,
  ...request
})

/** A place that is held until `release`. */
export interface Held {
  readonly waited: number
  readonly permit: BulkheadPermit
  readonly release: Effect.Effect<void>
}

/** Take a place, and hold it. */
export const occupy = (request = ask()): Effect.Effect<Held, BulkheadError | DeadlineError, Bulkhead> =>
  Effect.gen(function* () {
    const bulkhead = yield* Bulkhead
    const scope = yield* Scope.make()
    const permit = yield* Scope.provide(bulkhead.acquire(request), scope)
    return { waited: permit.waitedMs, permit, release: Scope.close(scope, Exit.void) }
  })

/** A claim that has joined the queue, or was decided at once. */
export const line = (request = ask()) => Effect.forkChild(occupy(request), { startImmediately: true })

/** Where the bulkhead stands. */
export const stateOf = (key = "openai") => Effect.flatMap(Bulkhead, (bulkhead) => bulkhead.state(key))

/** Turns of the scheduler. */
export const turns = (count: number) =>
  Effect.gen(function* () {
    for (let i = 0; i < count; i++) yield* Effect.yieldNow
  })

/** What a fiber has come to; `undefined` while it waits. */
export const outcome = <A, E>(fiber: Fiber.Fiber<A, E>): Exit.Exit<A, E> | undefined => fiber.pollUnsafe()

/** The place that a fiber has got; a test that expects one fails where there is none. */
export const heldBy = <A, E>(fiber: Fiber.Fiber<A, E>): A => {
  const exit = fiber.pollUnsafe()
  return exit !== undefined && Exit.isSuccess(exit) ? exit.value : assert.fail("no place was given")
}

/** Whether a fiber has its place. */
export const served = (fiber: Fiber.Fiber<unknown, unknown>): boolean => {
  const exit = fiber.pollUnsafe()
  return exit !== undefined && Exit.isSuccess(exit)
}

/** The reason of a refusal that must be there already. */
export const refusedWith = (fiber: Fiber.Fiber<Held, BulkheadError | DeadlineError>) =>
  Effect.gen(function* () {
    // Whoever was put out of the queue has to wake; no time passes.
    yield* turns(2)
    assert.isDefined(fiber.pollUnsafe(), "it still waits")
    return yield* Effect.flip(Fiber.join(fiber))
  })

/** One call at a time that takes `ms`, `count` times over: what the bulkhead learns from. */
export const teach = (count: number, ms: number, request = ask()) =>
  Effect.gen(function* () {
    for (let i = 0; i < count; i++) {
      const held = yield* occupy(request)
      yield* TestClock.adjust(ms)
      if (request.streamed) held.permit.firstToken(ms)
      else held.permit.answered(10, ms)
      yield* held.release
    }
  })

/** `it.effect` with the layer of a policy. */
export const on =
  (layer: MakeLayer, policy: BulkheadPolicy = base) =>
  <A, E>(title: string, test: Effect.Effect<A, E, Bulkhead | Scope.Scope>, values = policy) =>
    it.effect(title, () => Effect.provide(test, Layer.fresh(layer(values))))

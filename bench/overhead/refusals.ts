/** The cost of saying no: what one refused call costs, from the call to the typed error. */
import { Effect, Scope } from "effect"
import type { Context } from "effect"
import * as Candidate from "../../src/domain/candidate.ts"
import { complete } from "../../src/programs/complete.ts"
import { CircuitBreaker } from "../../src/services/circuit-breaker.ts"
import * as Clock from "./clock.ts"
import * as Stack from "./stack.ts"

/** µs of CPU for one refusal of each kind. */
export interface RefusalCost {
  readonly rateLimited: number
  readonly breakerOpen: number
  readonly queueFull: number
}

const guarded = Effect.scoped(Effect.suspend(() => complete(Stack.chat, Stack.body)))

/** Run `count` calls that must all fail with `tag`. */
const refused = (services: Context.Context<Stack.Services>, tag: string) => (count: number) => {
  let left = count
  const loop: Effect.Effect<void, Error, Stack.Services> = Effect.suspend(() =>
    left-- > 0
      ? Effect.matchEffect(guarded, {
          onFailure: (error) => (error._tag === tag ? loop : Effect.fail(error)),
          onSuccess: () => Effect.die(new Error(`expected ${tag}`))
        })
      : Effect.void
  )
  return Effect.runPromise(Effect.provideContext(loop, services))
}

/** Measure all three. */
export const measure = (rounds: number, count: number): Promise<RefusalCost> =>
  Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const limited = yield* Stack.context(Stack.instant, { rateLimits: { user: { requestsPerMinute: 1 } } })
        yield* Effect.ignore(Effect.provideContext(guarded, limited))
        const open = yield* Stack.context(Stack.instant)
        yield* Effect.provideContext(
          CircuitBreaker.use(({ trip }) => trip(Candidate.key(Stack.candidate), 3_600_000)),
          open
        )
        const full = yield* Stack.context(Stack.hung, {
          bulkhead: { maxInFlight: 1, maxQueue: 0 },
          timeouts: { hardMs: 300_000, firstTokenMs: 300_000 }
        })
        const scope = yield* Effect.scope
        yield* Effect.forkIn(
          Effect.provideContext(Effect.provideService(complete(Stack.chat, Stack.body), Scope.Scope, scope), full),
          scope,
          { startImmediately: true }
        )
        const times = yield* Effect.promise(() =>
          Clock.interleaved(
            {
              rateLimited: { name: "rate limited", run: refused(limited, "RateLimitError") },
              breakerOpen: { name: "breaker open", run: refused(open, "CircuitBreakerError") },
              queueFull: { name: "queue full", run: refused(full, "BulkheadError") }
            },
            rounds,
            count
          )
        )
        return {
          rateLimited: Clock.median(times.rateLimited),
          breakerOpen: Clock.median(times.breakerOpen),
          queueFull: Clock.median(times.queueFull)
        }
      })
    )
  )

/**
 * Retries with full jitter: the pause before retry n is drawn evenly from 0 to
 * min(capMs, baseMs x 2^n) (Marc Brooker, "Exponential Backoff And Jitter", AWS
 * Architecture Blog, 2015). The jitter is drawn from the capped range, so that
 * there is as much of it at the cap. The pause after a `Retry-After` is what was
 * asked, with that jitter on top, never less; a long one gets more jitter, since
 * all who were turned away with it would come back at one moment.
 *
 * Whether an error may be retried at all stands in `domain/error-table.ts`.
 */
import { Clock, Effect, Layer, Random } from "effect"
import { retryAfterMs, rowOf } from "../../domain/error-table.ts"
import type { RetryPolicyValues } from "../../domain/policy.ts"
import { RetryPolicy } from "../../services/retry-policy.ts"
import type { RetryDecision } from "../../services/retry-policy.ts"

const next: Effect.Effect<RetryDecision> = Effect.succeed({ _tag: "Next" })
const stop: Effect.Effect<RetryDecision> = Effect.succeed({ _tag: "Stop" })

/** Jitter on top of a `Retry-After`, at the least: up to this share of it (gRPC proposal A6 has the same 20 %). */
const spread = 0.2

/**
 * Decisions by the error table. An error that may be retried leads to the next
 * candidate instead when the retries are used up, or when the pause would not
 * end before the deadline.
 */
export const make = Effect.fnUntraced(function* (policy: RetryPolicyValues) {
  const clock = yield* Clock.Clock
  return RetryPolicy.of({
    decide: (error, retry, deadline) =>
      Effect.withFiber((fiber): Effect.Effect<RetryDecision> => {
        const row = rowOf(error)
        // A deadline that is still ahead was too near for this candidate's queue alone.
        if (error._tag === "DeadlineError" && clock.currentTimeMillisUnsafe() < deadline.atMs) return next
        if (row.next === "stop") return stop
        if (row.next === "next" || retry >= policy.maxRetries) return next
        const asked = Math.max(0, retryAfterMs(error) ?? 0)
        const range = Math.max(spread * asked, Math.min(policy.capMs, policy.baseMs * 2 ** retry))
        const afterMs = asked + fiber.getRef(Random.Random).nextDoubleUnsafe() * range
        if (clock.currentTimeMillisUnsafe() + afterMs >= deadline.atMs) return next
        return Effect.succeed<RetryDecision>({ _tag: "Retry", afterMs })
      })
  })
})

/** {@link make} as a layer. */
export const layer = (policy: RetryPolicyValues): Layer.Layer<RetryPolicy> => Layer.effect(RetryPolicy, make(policy))

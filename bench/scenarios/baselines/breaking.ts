/**
 * A breaker before the first provider and a fallback to the second, by
 * cockatiel and by opossum. Every call is aborted after `tryMs` without a
 * first token.
 */
import { circuitBreaker, CircuitState, ConsecutiveBreaker, fallback, handleAll, SamplingBreaker, wrap } from "cockatiel"
import OpossumBreaker from "opossum"
import type { Visit } from "../../../src/programs/simulate/visit.ts"
import type { Call, Reply } from "../world/calls.ts"
import type { Baseline } from "../world/play.ts"
import * as Deadline from "./deadline.ts"

interface Options {
  readonly primary: string
  readonly fallback: string
  readonly tryMs: number
}

/** The answer's beginning, or an error, within the time of a try. The rest of a stream has no limit. */
const opened = (call: Call, provider: string, visit: Visit, tryMs: number): Promise<Reply> =>
  Deadline.within(tryMs, (signal) => call(provider, visit, signal))

/** Ask one provider, or the other, as `ask` decides; then read to the end. */
const reading =
  (ask: (visit: Visit) => Promise<Reply>) =>
  async (visit: Visit, firstToken: () => void): Promise<void> => {
    const { ended } = await ask(visit)
    firstToken()
    await ended
  }

/**
 * cockatiel 4: `fallback(handleAll, …)` around `circuitBreaker(handleAll, …)`
 * that is open for 10 s, as in its README; `consecutive` opens after 5 failures
 * in a row, `sampling` at half of the calls in 10 s failing, from one a second on.
 */
export const cockatiel =
  (options: Options & { readonly breaker: "consecutive" | "sampling" }): Baseline =>
  (call, onState) => {
    const breaker = circuitBreaker(handleAll, {
      halfOpenAfter: 10_000,
      breaker:
        options.breaker === "consecutive"
          ? new ConsecutiveBreaker(5)
          : new SamplingBreaker({ threshold: 0.5, duration: 10_000, minimumRps: 1 })
    })
    breaker.onStateChange((state) =>
      onState(
        options.primary,
        state === CircuitState.Closed ? "closed" : state === CircuitState.HalfOpen ? "half-open" : "open"
      )
    )
    return reading((visit) =>
      wrap(
        fallback(handleAll, () => opened(call, options.fallback, visit, options.tryMs)),
        breaker
      ).execute(() => opened(call, options.primary, visit, options.tryMs))
    )
  }

/**
 * opossum 10: its defaults (half of the calls in 10 s, open for 30 s) and a
 * fallback. Its own timeout does not end the work, so the call has one as well.
 */
export const opossum =
  (options: Options): Baseline =>
  (call, onState) => {
    const breaker = new OpossumBreaker((visit: Visit) => opened(call, options.primary, visit, options.tryMs), {
      timeout: options.tryMs
    })
    breaker.on("open", () => onState(options.primary, "open"))
    breaker.on("halfOpen", () => onState(options.primary, "half-open"))
    breaker.on("close", () => onState(options.primary, "closed"))
    breaker.fallback((visit: Visit) => opened(call, options.fallback, visit, options.tryMs))
    return reading((visit) => breaker.fire(visit))
  }

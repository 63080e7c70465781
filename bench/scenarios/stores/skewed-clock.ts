/** A process whose clock is wrong: Effect's Clock, off by a fixed time. What is measured is not read from it. */
import { Clock, Effect, Layer } from "effect"

/** The real clock, `byMs` off. */
export const layer = (byMs: number): Layer.Layer<never> => {
  const real = Effect.runSync(Clock.clockWith((clock) => Effect.succeed(clock)))
  const millis = (): number => real.currentTimeMillisUnsafe() + byMs
  const nanos = (): bigint => real.currentTimeNanosUnsafe() + BigInt(Math.round(byMs)) * 1_000_000n
  return Layer.succeed(Clock.Clock, {
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: () => real.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: real.monotonicTimeNanos,
    sleep: (duration) => real.sleep(duration)
  })
}

/** The cost of one stream delta: metering and the time boxes around each wait, over reading the same stream bare. */
import { Effect, Stream } from "effect"
import { complete } from "../../src/programs/complete.ts"
import * as Clock from "./clock.ts"
import * as Stack from "./stack.ts"

/** µs of CPU a delta, medians over the rounds. */
export interface DeltaCost {
  readonly bare: number
  readonly ballast: number
  readonly policy: number
}

/** Read streams of `chunks` chunks; with `turns` each chunk comes a microtask after it was asked for. */
export const measure = (chunks: number, turns: boolean, rounds: number, streams: number): Promise<DeltaCost> =>
  Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const upstream = Stack.streaming(chunks, turns)
        const services = yield* Stack.context(upstream)
        const chat = { ...Stack.chat, stream: true }
        const bare = Effect.scoped(
          Effect.flatMap(upstream.open(Stack.candidate, Stack.openRequest), ({ rest }) => Stream.runDrain(rest))
        )
        const guarded = Effect.scoped(Effect.flatMap(complete(chat), ({ rest }) => Stream.runDrain(rest)))
        const runPromise = Effect.runPromiseWith(services)
        const run = (each: Effect.Effect<void, unknown, Stack.Services>) => async (deltas: number) => {
          for (let i = 0; i < deltas / chunks; i++) await runPromise(each)
        }
        const times = yield* Effect.promise(() =>
          Clock.interleaved(
            { bare: { name: "bare", run: run(bare) }, ballast: { name: "ballast", run: run(guarded) } },
            rounds,
            streams * chunks
          )
        )
        return {
          bare: Clock.median(times.bare),
          ballast: Clock.median(times.ballast),
          policy: Clock.median(Clock.paired(times.ballast, times.bare, (x, y) => x - y))
        }
      })
    )
  )

import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Sim from "../src/layers/provider/sim/upstream.ts"
import { call, chat, open } from "./unit/layers/provider/sim/drive.ts"
const n = 20000
const run = (name: string, stream: boolean, options: any) => Effect.gen(function* () {
    const { upstream, control } = yield* Sim.make(options)
    const t = performance.now()
    const f = yield* Effect.forkChild(Effect.gen(function*() { for (let i = 0; i < n; i++) { yield* Effect.sleep(12.5); yield* Effect.forkChild(Effect.timeoutOption(call(upstream, open(chat({ stream }))), 5000)) }; yield* Effect.sleep(10000) }))
    yield* TestClock.adjust(3_600_000)
    yield* Fiber.join(f)
    const ms = performance.now() - t
    const s = yield* control.stats
    console.log(name, n, Math.round(ms), "ms", Math.round(ms / n * 1000), "us/call", s.finished, s.abandoned)
}).pipe(Effect.scoped, Effect.provide(TestClock.layer()))
await Effect.runPromise(Effect.gen(function*(){
 yield* run("whole", false, {})
 yield* run("whole", false, {})
 yield* run("whole sigma 0", false, {perToken:{sigma:0}})
 yield* run("whole, saturated", false, {concurrency: 20, abandoned:"continue"})
 yield* run("stream by 1000", true, {tokensPerChunk: 1000})
}))

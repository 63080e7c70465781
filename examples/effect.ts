/**
 * Ballast inside an Effect program: no server, no HTTP. Run it:
 *
 *     node examples/effect.ts
 *
 * It needs no key and no network, because the default configuration answers
 * from a simulated provider. Your own: `Config.load("ballast.config.json")`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Stream } from "effect"
// In your own program: from "ballast"
import { Ballast, Caller, Config, CurrentCaller, collect, complete, events } from "../src/index.ts"
import type { ChatRequest } from "../src/index.ts"

const question = (content: string): ChatRequest => ({
  model: "gpt-4o-mini",
  messages: [{ role: "user", content }],
  max_tokens: 24
})

// `complete` succeeds when the answer has begun, and its scope holds what the
// answer needs: a place at the provider, the connection, the caller's
// reservation. Close the scope, and all of it is given back.
const whole = Effect.scoped(
  Effect.gen(function* () {
    const completion = yield* complete(question("Why do ships carry ballast?"))
    const answer = yield* collect(completion)
    yield* Console.log(`whole: ${String(answer.choices[0]?.message["content"])}`)
    yield* Console.log(`tokens: ${answer.usage?.total_tokens}, from ${completion.candidate.provider}`)
  })
)

// The same under the same guards, a chunk at a time.
const streamed = Effect.scoped(
  Effect.gen(function* () {
    const completion = yield* complete({ ...question("And where do they keep it?"), stream: true })
    let text = ""
    yield* Stream.runForEach(events(completion), (event) =>
      Effect.sync(() => {
        if (event._tag === "Chunk") text += event.chunk.choices[0]?.delta.content ?? ""
      })
    )
    yield* Console.log(`streamed: ${text}`)
  })
)

// Every refusal is typed. What is not handled here stays in the type.
const refused = Effect.scoped(complete({ ...question("Hello?"), model: "no-such-model" })).pipe(
  Effect.catchReason("RequestError", "UnknownModel", ({ model }) => Console.log(`refused: nobody serves '${model}'`))
)

const program = Effect.all([whole, streamed, refused], { discard: true }).pipe(
  // Limits, fair queues and costs go by who asks.
  Effect.provideService(CurrentCaller, Caller.make("acme", { user: "ada", feature: "help" })),
  Effect.provide(Ballast.layer(Config.defaultConfig))
)

NodeRuntime.runMain(program)

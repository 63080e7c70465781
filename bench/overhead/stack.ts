/**
 * What is measured: `complete` with every guard on, in memory, before an
 * upstream that answers at once. The limits are wide, so that no guard ever
 * refuses; each does all its work all the same.
 */
import { Cause, Context, Effect, Layer, Stream } from "effect"
import type { Pull, Scope } from "effect"
import * as Caller from "../../src/domain/caller.ts"
import type { Candidate } from "../../src/domain/candidate.ts"
import type { ChatChunk, ChatCompletion, ChatRequest } from "../../src/domain/chat.ts"
import * as Usage from "../../src/domain/usage.ts"
import * as Ballast from "../../src/programs/ballast.ts"
import * as Config from "../../src/programs/config.ts"
import { CurrentCaller } from "../../src/services/caller.ts"
import { Provider } from "../../src/services/provider.ts"
import type { ChunkEvent, Completion, CompletionEvent, OpenRequest, Upstream } from "../../src/services/provider.ts"

/** Everything `complete` needs besides a scope. */
export type Services = Ballast.Services

/** A request of about 1 KB, the size of a short chat. */
export const chat: ChatRequest = {
  model: "bench",
  messages: [
    { role: "system", content: "You answer briefly and kindly." },
    { role: "user", content: "Where is my order, and when will it arrive? ".repeat(20) }
  ],
  max_tokens: 128,
  temperature: 0.2,
  user: "user-1"
}

/** The same request as a client sends it. */
export const body: string = JSON.stringify(chat)

/** Where it goes. */
export const candidate: Candidate = { provider: "instant", model: "model" }

/** What `Provider.open` gets. */
export const openRequest: OpenRequest = {
  chat,
  body,
  includeUsage: true,
  deadlineMs: Infinity,
  traceparent: undefined
}

/** Who asks: a caller that is limited in all four dimensions. */
export const caller = Caller.make("tenant-1", { user: "user-1", ip: "10.0.0.1" })

const usage = Usage.make(230, 20)

const completion: ChatCompletion = {
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 1,
  model: "model",
  choices: [
    { index: 0, message: { role: "assistant", content: "Your order arrives tomorrow." }, finish_reason: "stop" }
  ],
  usage
}

const whole: Completion = {
  candidate,
  first: { _tag: "Whole", completion, data: JSON.stringify(completion) },
  rest: Stream.empty,
  upstream: { remainingRequests: undefined, remainingTokens: undefined }
}

const chunk = (content: string): ChunkEvent => {
  const value: ChatChunk = {
    id: "chatcmpl-1",
    object: "chat.completion.chunk",
    created: 1,
    model: "model",
    choices: [{ index: 0, delta: { content }, finish_reason: null }]
  }
  return { _tag: "Chunk", chunk: value, data: JSON.stringify(value) }
}

const noEmbeddings: Upstream["embed"] = () => Effect.die("the bench embeds nothing")

/** Lets everything else that is ready run first, as a reply from a socket does. */
const hop = Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))

const microtask = Effect.callback<void>((resume) => queueMicrotask(() => resume(Effect.void)))

/** Answers after a microtask: the least an upstream can take. */
export const instant: Upstream = { open: () => Effect.as(microtask, whole), embed: noEmbeddings }

/** Answers after a turn of the event loop. */
export const nextTurn: Upstream = { open: () => Effect.as(hop, whole), embed: noEmbeddings }

/** Never answers. */
export const hung: Upstream = { open: () => Effect.never, embed: noEmbeddings }

/** Streams `chunks` chunks, each from a pull of its own; with `turns`, after a microtask each. */
export const streaming = (chunks: number, turns: boolean): Upstream => ({
  open: () =>
    Effect.sync(() => {
      const event = chunk(" word")
      const events: readonly [CompletionEvent] = [event]
      let left = chunks
      const next: Pull.Pull<readonly [CompletionEvent]> = Effect.suspend(() =>
        left-- > 0 ? Effect.succeed(events) : Cause.done()
      )
      return {
        ...whole,
        first: event,
        rest: Stream.fromPull(Effect.succeed(turns ? Effect.andThen(microtask, next) : next))
      }
    }),
  embed: noEmbeddings
})

const wide = 1_000_000_000

/** The policies as shipped, with limits that nothing in the bench reaches; tokens are limited in every dimension too. */
const config = (policies: Readonly<Record<string, unknown>>) => ({
  providers: { instant: { kind: "openai-compatible", baseUrl: "http://127.0.0.1:9" } },
  models: [{ alias: "bench", candidates: ["instant/model"], price: { inputPerMillion: 2.5, outputPerMillion: 10 } }],
  policies: {
    rateLimits: Object.fromEntries(
      ["user", "ip", "tenant", "global"].map((dimension) => [
        dimension,
        { requestsPerMinute: wide, tokensPerMinute: wide }
      ])
    ),
    bulkhead: { maxInFlight: 100_000, maxQueue: 1_000 },
    ...policies
  }
})

/** All guards in front of `upstream`, as a context; `policies` stand over the wide ones. */
export const context = (
  upstream: Upstream,
  policies: Readonly<Record<string, unknown>> = {}
): Effect.Effect<Context.Context<Services>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const resolved = yield* Effect.orDie(Config.fromUnknown(config(policies)))
    const built = yield* Layer.build(
      Layer.merge(Layer.orDie(Ballast.layer(resolved)), Layer.succeed(Provider, upstream))
    )
    return Context.add(built, CurrentCaller, caller)
  })

/**
 * The simulated provider as a server that speaks OpenAI's HTTP, with real
 * faults on the wire: sockets destroyed before or in the middle of an answer,
 * answers that never come, frames that are not JSON.
 *
 * - `POST /v1/chat/completions` (JSON and server-sent events), `POST /v1/embeddings`, `GET /v1/models`, all with and
 *   without `/v1`; a request's field `sim` asks for a fault or for exact times (`Directive` in the options)
 * - `GET /sim/stats`: counters; from loopback only: `POST /sim/faults` sets one fault or a list, `DELETE /sim/faults`
 *   removes those that were set
 *
 * A listening server cannot refuse a connection, so the fault `refuse` destroys the socket before any byte.
 */
import { createServer } from "node:http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Cause, Context, Effect, Layer, Pull, Schema, Stream } from "effect"
import type { Scope } from "effect"
import * as HttpServer from "effect/http/HttpServer"
import type { ServeError } from "effect/http/HttpServerError"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { ChatRequest } from "../domain/chat.ts"
import { EmbeddingRequest } from "../domain/embedding.ts"
import * as Chat from "../layers/provider/sim/chat.ts"
import * as Embeddings from "../layers/provider/sim/embeddings.ts"
import * as Engine from "../layers/provider/sim/engine.ts"
import * as Failure from "../layers/provider/sim/failure.ts"
import type { LimitView } from "../layers/provider/sim/limits.ts"
import { decodeFaults } from "../layers/provider/sim/options.ts"
import type { SimOptionsInput } from "../layers/provider/sim/options.ts"

/** Where to listen. Port 0 takes a free one. */
export interface Listen {
  readonly host: string
  readonly port: number
}

/** A running server: `url` without a path, with the port that was bound. */
export class SimServer extends Context.Service<
  SimServer,
  { readonly url: string; readonly control: Engine.SimControl }
>()("ballast/programs/SimServer") {}

type Response = HttpServerResponse.HttpServerResponse
type Handler = Effect.Effect<Response, Failure.Failure, HttpServerRequest | Scope.Scope>

const decodeChat = Schema.decodeUnknownEffect(ChatRequest)
const decodeEmbedding = Schema.decodeUnknownEffect(EmbeddingRequest)
const decodeJson = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.Unknown))

const invalid = (error: { readonly message: string }) =>
  Failure.status(400, { code: "invalid_value", message: error.message })

const bodyOf = <A>(decode: (body: unknown) => Effect.Effect<A, Schema.SchemaError>) =>
  HttpServerRequest.use((request) => request.text).pipe(
    Effect.flatMap(decodeJson),
    Effect.flatMap(decode),
    Effect.mapError(invalid)
  )

const encoder = new TextEncoder()
const done = encoder.encode("data: [DONE]\n\n")

const limitHeaders = (view: LimitView): Record<string, string> => {
  const headers: Record<string, string> = {}
  const add = (name: string, value: number | undefined) => {
    if (value !== undefined) headers[`x-ratelimit-${name}`] = String(value)
  }
  add("limit-requests", view.limitRequests)
  add("remaining-requests", view.remainingRequests)
  add("limit-tokens", view.limitTokens)
  add("remaining-tokens", view.remainingTokens)
  return headers
}

const headersOf = (call: Engine.Call) => ({
  "x-request-id": `req-sim${call.ordinal.toString(36)}`,
  ...limitHeaders(call.limits)
})

const refusal = (failure: Failure.StatusFailure): Response =>
  HttpServerResponse.jsonUnsafe(Failure.body(failure), {
    status: failure.status,
    headers:
      failure.retryAfterMs === undefined
        ? {}
        : {
            "retry-after": String(Math.max(1, Math.ceil(failure.retryAfterMs / 1000))),
            "retry-after-ms": String(Math.ceil(failure.retryAfterMs))
          }
  })

// The socket goes away under the answer; this fiber ends as when a client leaves.
const destroy = Effect.flatMap(HttpServerRequest, (request) =>
  Effect.andThen(
    Effect.sync(() => NodeHttpServerRequest.toServerResponse(request).destroy()),
    Effect.never
  )
)

// Node holds headers and small writes back until the end of its turn; a pause lets them out before the socket goes.
const flush = Effect.flatMap(HttpServerRequest, (request) =>
  Effect.andThen(
    Effect.sync(() => {
      const response = NodeHttpServerRequest.toServerResponse(request)
      if ("flushHeaders" in response) response.flushHeaders()
    }),
    Effect.sleep("2 millis")
  )
)

type Bytes = readonly [Uint8Array]

// What the wire shows of a failure after the headers: bytes and then the end, or a dead socket.
const onWire = (failure: Failure.Failure): Effect.Effect<Bytes, never, HttpServerRequest> => {
  switch (failure._tag) {
    case "BrokenFrame":
      return Effect.succeed([encoder.encode(`data: {"id":"chatcmpl-sim","choices":[{"delta":{"content":"bro\n\n`)])
    case "StreamError":
      return Effect.succeed([encoder.encode(`data: ${JSON.stringify(Failure.body(failure))}\n\n`)])
    default:
      return Effect.andThen(flush, destroy)
  }
}

const eventStream = (answer: Chat.Answer, request: HttpServerRequest): Response => {
  let finished = false
  const end = (bytes: Bytes) => {
    finished = true
    return bytes
  }
  const events = Effect.map(answer.chunks, (chunks): Bytes => {
    let text = ""
    for (const { data } of chunks) text += `data: ${data}\n\n`
    return [encoder.encode(text)]
  }).pipe(
    Pull.catchDone(() => Effect.sync(() => end([done]))),
    Effect.catch((failure: Failure.Failure) => Effect.map(onWire(failure), end)),
    Effect.provideService(HttpServerRequest, request)
  )
  const pull = Effect.suspend((): Pull.Pull<Bytes> => (finished ? Cause.done() : events))
  return HttpServerResponse.stream(Stream.fromPull(Effect.succeed(pull)), {
    contentType: "text/event-stream",
    headers: { ...headersOf(answer.call), "cache-control": "no-cache" }
  })
}

// Headers, `begun` bytes of the body, and then `next`.
const unfinished = (
  contentType: string,
  begun: string,
  next: Effect.Effect<never, never, HttpServerRequest>
): Effect.Effect<Response, never, HttpServerRequest> =>
  Effect.map(HttpServerRequest, (request) => {
    const rest = Effect.provideService(Effect.andThen(flush, next), HttpServerRequest, request)
    const body = begun === "" ? Stream.empty : Stream.succeed(encoder.encode(begun))
    return HttpServerResponse.stream(Stream.concat(body, Stream.fromEffect(rest)), { contentType })
  })

const json = "application/json"

const document = (
  call: Engine.Call,
  text: Effect.Effect<string, Failure.Failure>
): Effect.Effect<Response, Failure.Failure, HttpServerRequest> => {
  const start = `{"id":"sim","object":`
  if (call.fate.hang === "body") return unfinished(json, "", Effect.never)
  // A stall is an answer that has begun; only the document's headers and its start were sent.
  if (call.fate.mid?.kind === "stall") return unfinished(json, start, Effect.never)
  return Effect.map(text, (body) =>
    HttpServerResponse.text(body, { contentType: json, headers: headersOf(call) })
  ).pipe(
    Effect.catchTags({
      Cut: () => unfinished(json, start, destroy),
      BrokenFrame: () => Effect.succeed(HttpServerResponse.text(start, { contentType: json }))
    })
  )
}

const chat = (engine: Engine.Engine): Handler =>
  Effect.gen(function* () {
    const request = yield* HttpServerRequest
    const body = yield* bodyOf(decodeChat)
    const answer = yield* Chat.begin(engine, body.model, body, body.stream_options?.include_usage === true)
    if (body.stream !== true) {
      return yield* document(
        answer.call,
        Effect.map(answer.whole, ({ data }) => data)
      )
    }
    return answer.call.fate.hang === "body"
      ? yield* unfinished("text/event-stream", "", Effect.never)
      : eventStream(answer, request)
  })

const embeddings = (engine: Engine.Engine): Handler =>
  Effect.gen(function* () {
    const body = yield* bodyOf(decodeEmbedding)
    const answer = yield* Embeddings.begin(engine, body.model, body)
    return yield* document(
      answer.call,
      Effect.map(answer.response, (response) => JSON.stringify(response))
    )
  })

const models = (engine: Engine.Engine): Handler =>
  Effect.sync(() =>
    HttpServerResponse.jsonUnsafe({
      object: "list",
      data: engine.options.models.map((id) => ({ id, object: "model", created: 0, owned_by: "sim" }))
    })
  )

const loopback = /^(::ffff:)?127\.|^::1$/

const command = (act: Effect.Effect<unknown, Failure.Failure, HttpServerRequest>): Handler =>
  Effect.flatMap(HttpServerRequest, (request) =>
    request.remoteAddress._tag === "Some" && loopback.test(request.remoteAddress.value)
      ? Effect.as(act, HttpServerResponse.empty())
      : Effect.fail(Failure.status(403, { message: "Faults are set from loopback only." }))
  )

const setFaults = (engine: Engine.Engine): Handler =>
  command(
    Effect.flatMap(bodyOf(decodeFaults), (faults) => ("kind" in faults ? engine.set(faults) : engine.set(...faults)))
  )

const routesOf = (engine: Engine.Engine): Readonly<Record<string, Handler>> => ({
  "POST /chat/completions": chat(engine),
  "POST /embeddings": embeddings(engine),
  "GET /models": models(engine),
  "GET /sim/stats": Effect.map(engine.stats, (stats) => HttpServerResponse.jsonUnsafe(stats)),
  "POST /sim/faults": setFaults(engine),
  "DELETE /sim/faults": command(engine.clear)
})

const respond = (failure: Failure.Failure): Effect.Effect<Response, never, HttpServerRequest> =>
  failure._tag === "Status" || failure._tag === "StreamError" ? Effect.succeed(refusal(failure)) : destroy

const app = (engine: Engine.Engine): Effect.Effect<Response, never, HttpServerRequest | Scope.Scope> => {
  const routes = new Map(Object.entries(routesOf(engine)))
  return Effect.flatMap(HttpServerRequest, (request) => {
    const path = (request.url.split("?", 1)[0] ?? "").replace(/^\/v1(?=\/)/, "")
    const handler =
      routes.get(`${request.method} ${path}`) ??
      Effect.fail(
        Failure.status(404, { code: "unknown_url", message: `Unknown request URL: ${request.method} ${path}` })
      )
    // The platform starts handlers uninterruptible; without this a client who leaves would not end a call.
    return Effect.interruptible(handler.pipe(Effect.catch(respond)))
  })
}

/** Serve until the scope closes. Options that cannot be read are a defect: read a file's with `decode` first. */
export const serve = Effect.fnUntraced(function* (
  options: SimOptionsInput,
  listen: Listen
): Effect.fn.Return<SimServer["Service"], ServeError, Scope.Scope> {
  const engine = yield* Engine.make(options)
  const server = yield* NodeHttpServer.make(() => createServer(), { ...listen, disablePreemptiveShutdown: true })
  yield* server.serve(app(engine))
  return { url: HttpServer.formatAddress(server.address), control: engine }
})

/** The server as a layer; its address and its controls are in {@link SimServer}. */
export const layer = (options: SimOptionsInput, listen: Listen): Layer.Layer<SimServer, ServeError> =>
  Layer.effect(SimServer)(serve(options, listen))

/** `ballast sim`: serve for ever, and say where in one line. */
export const runSim = (settings: {
  readonly options: SimOptionsInput
  readonly host: string
  readonly port: number
}): Effect.Effect<never, ServeError> =>
  Effect.scoped(
    Effect.flatMap(serve(settings.options, settings), ({ url }) =>
      Effect.andThen(Effect.logInfo(`simulated provider on ${url}/v1`), Effect.never)
    )
  )

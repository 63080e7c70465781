/**
 * An upstream over HTTP: protocol x endpoint x auth x framing, put together.
 * A vendor is a choice of these four and a few options; nothing else differs.
 */
import { Cause, Clock, Effect, Stream } from "effect"
import type { Scope } from "effect"
import type { Candidate } from "../../domain/candidate.ts"
import { ProviderError } from "../../domain/errors.ts"
import type { ProviderReason } from "../../domain/errors.ts"
import type { Completion, CompletionEvent, OpenRequest, Upstream } from "../../services/provider.ts"
import { textOf, Transport } from "../../services/transport.ts"
import type { TransportError, TransportRequest, TransportResponse } from "../../services/transport.ts"
import type { Auth } from "./auth.ts"
import type { Endpoint, Operation } from "./endpoint.ts"
import * as EventStream from "./event-stream.ts"
import type { Events } from "./event-stream.ts"
import type { Encoded, Protocol } from "./protocol.ts"
import * as RateLimitHeaders from "./rate-limit-headers.ts"
import * as Redact from "./redact.ts"
import * as RetryAfter from "./retry-after.ts"
import * as Status from "./status.ts"

/**
 * - `headers`: sent with each call, lower-case names
 * - `maxResponseBytes`: longest whole answer; default 32 MiB (2,048 embeddings of 3,072 numbers are some 70 MB: raise it for those)
 * - `maxEventChars`: longest event of a stream, in characters; default 4 Mi
 */
export interface HttpUpstreamOptions {
  readonly protocol: Protocol
  readonly endpoint: Endpoint
  readonly auth: Auth
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly maxResponseBytes?: number | undefined
  readonly maxEventChars?: number | undefined
}

/** Most of an error answer that is read, in bytes. */
const maxErrorBytes = 65_536

/**
 * The upstream. `deadlineMs` of a request is checked before a call is made and
 * not enforced during it: the caller bounds its time.
 */
export const make = (options: HttpUpstreamOptions): Effect.Effect<Upstream, never, Transport> =>
  Effect.gen(function* () {
    const transport = yield* Transport
    const clock = yield* Clock.Clock
    const { auth, endpoint, protocol } = options
    const redact = Redact.make(auth.secrets)
    const maxBytes = options.maxResponseBytes ?? 33_554_432
    const maxEventChars = options.maxEventChars ?? 4_194_304
    const headers: ReadonlyArray<string> = [
      "content-type",
      "application/json",
      "accept",
      "application/json, text/event-stream",
      ...auth.headers,
      ...Object.entries(options.headers ?? {}).flat()
    ]

    /** The request that carries an encoded body, or the reason why there is none. */
    const requestOf = (
      operation: Operation,
      candidate: Candidate,
      { bounds, traceparent }: Pick<OpenRequest, "bounds" | "traceparent">,
      body: Encoded | ProviderReason
    ): TransportRequest | ProviderReason =>
      body._tag === "Encoded"
        ? {
            bounds,
            method: "POST",
            origin: endpoint.origin,
            path: endpoint.path(operation, candidate.model),
            headers: traceparent === undefined ? headers : [...headers, "traceparent", traceparent],
            body: body.body
          }
        : body

    /** Send, and hand a good answer to `onAnswer`; what else may come is a `ProviderError` of `candidate`. */
    const call = <A>(
      candidate: Candidate,
      deadlineMs: number,
      request: () => TransportRequest | ProviderReason,
      onAnswer: (response: TransportResponse) => Effect.Effect<A, ProviderError>
    ): Effect.Effect<A, ProviderError, Scope.Scope> =>
      Effect.suspend(() => {
        if (clock.currentTimeMillisUnsafe() >= deadlineMs) {
          return fail(candidate, { _tag: "Timeout", phase: "total", afterMs: 0 })
        }
        const asked = request()
        if ("_tag" in asked) return fail(candidate, asked)
        return Effect.matchEffect(transport.send(asked), {
          onFailure: (error) => fail(candidate, unsent(error)),
          onSuccess: (response) =>
            response.status >= 200 && response.status < 300 ? onAnswer(response) : refusal(candidate, response)
        })
      })

    const refusal = (candidate: Candidate, response: TransportResponse): Effect.Effect<never, ProviderError> => {
      const { header, status } = response
      const shouldRetry = header("x-should-retry")
      const advice: Status.Advice = {
        retryAfterMs: RetryAfter.fromHeaders(header, clock.currentTimeMillisUnsafe()),
        shouldRetry: shouldRetry === "false" ? false : shouldRetry === "true" ? true : undefined
      }
      const say = (text: string) =>
        fail(candidate, Status.reasonOf(status, Status.faultOfText(text, `HTTP ${status}`), advice, redact))
      // The status alone says enough where the body is cut or too long.
      return Effect.matchEffect(response.bytes(maxErrorBytes), {
        onFailure: () => say(""),
        onSuccess: (bytes) => say(textOf(bytes))
      })
    }

    const text = <A>(
      candidate: Candidate,
      response: TransportResponse,
      decode: (text: string, bytes: Uint8Array) => A | ProviderReason,
      isReason: (value: A | ProviderReason) => value is ProviderReason
    ): Effect.Effect<A, ProviderError> =>
      Effect.matchEffect(response.bytes(maxBytes), {
        onFailure: (error) => fail(candidate, EventStream.cut(error)),
        onSuccess: (bytes) => {
          const value = decode(textOf(bytes), bytes)
          return isReason(value) ? fail(candidate, value) : Effect.succeed(value)
        }
      })

    const whole = (candidate: Candidate, response: TransportResponse): Effect.Effect<Completion, ProviderError> =>
      Effect.map(
        text(
          candidate,
          response,
          (body, bytes) => protocol.decodeWhole(body, bytes, redact, clock.currentTimeMillisUnsafe()),
          (value) => value._tag !== "Whole"
        ),
        (first) => ({ candidate, first, rest: Stream.empty, upstream: RateLimitHeaders.fromHeaders(response.header) })
      )

    const streamed = (
      candidate: Candidate,
      request: OpenRequest,
      response: TransportResponse
    ): Effect.Effect<Completion, ProviderError> => {
      const decoder = protocol.decodeStream(request, redact, clock.currentTimeMillisUnsafe())
      const pull = EventStream.pullEvents(response, decoder, maxEventChars)
      return Effect.matchEffect(pull, {
        onFailure: (reason) => fail(candidate, Cause.isDone(reason) ? noChunk : reason),
        onSuccess: ([first, ...others]) => {
          response.opened()
          return Effect.succeed({
            candidate,
            first,
            rest: restOf(candidate, others, pull),
            upstream: RateLimitHeaders.fromHeaders(response.header)
          })
        }
      })
    }

    return {
      bounded: () => transport.bounded,
      open: (candidate, request) =>
        call(
          candidate,
          request.deadlineMs,
          () => requestOf("chat", candidate, request, protocol.encodeChat(candidate.model, request)),
          (response) =>
            request.chat.stream === true && !isJson(response)
              ? streamed(candidate, request, response)
              : whole(candidate, response)
        ),
      embed: (candidate, request) =>
        call(
          candidate,
          request.deadlineMs,
          () => requestOf("embeddings", candidate, request, protocol.encodeEmbedding(candidate.model, request)),
          (response) =>
            Effect.map(
              text(
                candidate,
                response,
                (body) => protocol.decodeEmbedding(body, redact),
                (value) => value._tag !== "Embedding"
              ),
              (decoded) => ({ candidate, response: decoded.response, data: decoded.data })
            )
        )
    }
  })

const noChunk: ProviderReason = { _tag: "BadResponse", detail: "the stream ended before its first chunk" }

const fail = (candidate: Candidate, reason: ProviderReason): Effect.Effect<never, ProviderError> =>
  Effect.fail(new ProviderError({ provider: candidate.provider, reason }))

/** What a transport's failure means before an answer has begun. */
const unsent = (error: TransportError): ProviderReason => {
  const r = error.reason
  switch (r._tag) {
    case "Timeout":
      return r
    case "TooLarge":
      return { _tag: "BadResponse", detail: error.message }
    default:
      return { _tag: "Unreachable", detail: r.detail }
  }
}

const isJson = (response: TransportResponse): boolean =>
  response.header("content-type")?.toLowerCase().includes("application/json") === true

/** What follows the first event: first what came with it, then what is pulled. For one reader. */
const restOf = (
  candidate: Candidate,
  others: Array<CompletionEvent>,
  pull: ReturnType<typeof EventStream.pullEvents>
): Completion["rest"] => {
  const next = Effect.catchIf(
    pull,
    (error): error is ProviderReason => !Cause.isDone(error),
    (reason) => fail(candidate, reason)
  )
  // Not empty: checked in the same expression.
  return Stream.fromPull(
    Effect.succeed(
      others.length === 0
        ? next
        : Effect.suspend(() => (others.length === 0 ? next : Effect.succeed(others.splice(0) as unknown as Events)))
    )
  )
}

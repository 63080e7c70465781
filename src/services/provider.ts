/**
 * The upstreams. `open` succeeds when the first chunk of a stream (or the whole
 * answer) is here: before that point a request may be retried or sent
 * elsewhere freely, after it never silently. The upstream connection lives in
 * the scope; closing it aborts the call.
 */
import { Context, Effect, Stream } from "effect"
import type { Scope } from "effect"
import type { Degraded } from "../domain/brownout.ts"
import type { Candidate } from "../domain/candidate.ts"
import type { ChatChunk, ChatCompletion, ChatRequest } from "../domain/chat.ts"
import type { EmbeddingRequest, EmbeddingResponse } from "../domain/embedding.ts"
import type { ProviderError } from "../domain/errors.ts"
import type { Bounds } from "./transport.ts"

/**
 * A chat request on its way to one upstream.
 *
 * - `chat`: the request as the caller wrote it; `chat.model` is the alias
 * - `body`: the received JSON text of `chat`, when there is one: an adapter that changes nothing may forward it
 * - `includeUsage`: ask a streaming upstream for token counts even where the caller did not
 * - `deadlineMs`: epoch ms after which nobody waits any more
 * - `bounds`: the time limits of this call, for an upstream that keeps them itself
 */
export interface OpenRequest {
  readonly chat: ChatRequest
  readonly body: string | undefined
  readonly includeUsage: boolean
  readonly deadlineMs: number
  readonly traceparent: string | undefined
  readonly bounds?: Bounds | undefined
}

/** An embedding request on its way to one upstream. */
export interface EmbedRequest {
  readonly embedding: EmbeddingRequest
  readonly body: string | undefined
  readonly deadlineMs: number
  readonly traceparent: string | undefined
  readonly bounds?: Bounds | undefined
}

/** One streamed chunk, and its JSON text as it came, so that it can be forwarded without encoding it again. */
export interface ChunkEvent {
  readonly _tag: "Chunk"
  readonly chunk: ChatChunk
  readonly data: string
}

/**
 * A whole answer, its JSON text, and, where they can be forwarded, the very
 * bytes it came as. `chars`: how many characters were received of an answer
 * that was put together from a stream.
 */
export interface WholeEvent {
  readonly _tag: "Whole"
  readonly completion: ChatCompletion
  readonly data: string
  readonly bytes?: Uint8Array
  readonly chars?: number
}

/** What an upstream sent. A stream is one or more `Chunk`s, a plain answer is exactly one `Whole`. */
export type CompletionEvent = ChunkEvent | WholeEvent

/** What the upstream says of its limits and what is left of them, from its rate-limit headers; `undefined` where it says nothing. */
export interface UpstreamLimits {
  readonly remainingRequests: number | undefined
  readonly remainingTokens: number | undefined
  /** The limits themselves, and how many ms it takes until all of them is there again. */
  readonly limitRequests?: number | undefined
  readonly limitTokens?: number | undefined
  readonly resetRequestsMs?: number | undefined
  readonly resetTokensMs?: number | undefined
}

/**
 * An answer that has begun.
 *
 * - `first`: the first event, already here
 * - `rest`: what follows; ends only when the upstream said that it is complete. A stream that is cut, stalls or sends a
 *   broken frame fails instead
 * - `degraded`: set by `complete` where this is less than the full answer, and why. A stream that breaks off later and
 *   is returned in part says so in its last chunk
 */
export interface Completion {
  readonly candidate: Candidate
  readonly first: CompletionEvent
  readonly rest: Stream.Stream<CompletionEvent, ProviderError>
  readonly upstream: UpstreamLimits
  readonly degraded?: Degraded
}

/** Embeddings, and their JSON text as it came. */
export interface Embedded {
  readonly candidate: Candidate
  readonly response: EmbeddingResponse
  readonly data: string
}

/** One upstream. What an adapter implements. */
export interface Upstream {
  /**
   * Whether calls to `candidate` keep their `bounds` themselves: then the wait
   * for the answer, and each wait for more of it, ends in time with a `Timeout`.
   * Where it is absent or false, the caller watches every wait, which costs a
   * fiber each.
   */
  readonly bounded?: (candidate: Candidate) => boolean
  readonly open: (candidate: Candidate, request: OpenRequest) => Effect.Effect<Completion, ProviderError, Scope.Scope>
  readonly embed: (candidate: Candidate, request: EmbedRequest) => Effect.Effect<Embedded, ProviderError, Scope.Scope>
}

/** All configured upstreams; `candidate.provider` selects one. */
export class Provider extends Context.Service<Provider, Upstream>()("ballast/services/Provider") {}

/** All events of a completion, the first one included. */
export const events = (completion: Completion): Stream.Stream<CompletionEvent, ProviderError> =>
  Stream.concat(Stream.succeed(completion.first), completion.rest)

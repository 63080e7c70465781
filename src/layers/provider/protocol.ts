/**
 * What a vendor's API speaks: one of the four parts of an upstream (protocol,
 * endpoint, auth, framing). A protocol is pure: it turns our request into a
 * body and the answer's text or frames into our events. Framing is server-sent
 * events for all of them.
 */
import type { ProviderReason } from "../../domain/errors.ts"
import type { EmbeddingResponse } from "../../domain/embedding.ts"
import type { CompletionEvent, EmbedRequest, OpenRequest, WholeEvent } from "../../services/provider.ts"
import type { SseEvent } from "./sse.ts"

/** Removes secrets from an upstream's text; see `redact.ts`. */
export type Redact = (text: string) => string

/** The body of a request, as JSON text. */
export interface Encoded {
  readonly _tag: "Encoded"
  readonly body: string
}

/** A body. */
export const encoded = (body: string): Encoded => ({ _tag: "Encoded", body })

/** An embedding answer and its JSON text. */
export interface DecodedEmbedding {
  readonly _tag: "Embedding"
  readonly response: EmbeddingResponse
  readonly data: string
}

/** The state of one streamed answer. */
export interface StreamDecoder {
  /**
   * Take one event and append what it means to `out`. The result is
   * `undefined` to go on, `"done"` where the upstream said that the answer is
   * complete, or what is wrong.
   */
  readonly step: (event: SseEvent, out: Array<CompletionEvent>) => undefined | "done" | ProviderReason
  /** Whether the bytes may end here although nothing said that the answer is complete. */
  readonly mayEnd: () => boolean
}

/** One vendor API. */
export interface Protocol {
  /** `nowMs` is epoch ms, for answers that do not carry their own time. */
  readonly encodeChat: (model: string, request: OpenRequest) => Encoded | ProviderReason
  /** `bytes` is what `text` came as, to be kept with the event where it is forwarded unchanged. */
  readonly decodeWhole: (text: string, bytes: Uint8Array, redact: Redact, nowMs: number) => WholeEvent | ProviderReason
  readonly decodeStream: (request: OpenRequest, redact: Redact, nowMs: number) => StreamDecoder
  readonly encodeEmbedding: (model: string, request: EmbedRequest) => Encoded | ProviderReason
  readonly decodeEmbedding: (text: string, redact: Redact) => DecodedEmbedding | ProviderReason
}

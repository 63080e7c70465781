/**
 * Anthropic's Messages API behind the common shape.
 */
import { Effect } from "effect"
import type { Redacted } from "effect"
import type { ProviderReason } from "../../domain/errors.ts"
import type { Upstream } from "../../services/provider.ts"
import type { Transport } from "../../services/transport.ts"
import { completionOf } from "./anthropic-answer.ts"
import * as AnthropicRequest from "./anthropic-request.ts"
import * as AnthropicStream from "./anthropic-stream.ts"
import * as Auth from "./auth.ts"
import * as Endpoint from "./endpoint.ts"
import * as HttpUpstream from "./http-upstream.ts"
import { isObject, parse } from "./json.ts"
import type { CommonOptions } from "./openai.ts"
import { encoded } from "./protocol.ts"
import type { Protocol } from "./protocol.ts"
import { faultOf, inBandReasonOf } from "./status.ts"

/**
 * - `baseUrl`: default `https://api.anthropic.com/v1`
 * - `defaultMaxTokens`: output limit of requests that name none; default 4,096
 */
export interface AnthropicOptions extends CommonOptions {
  readonly apiKey: Redacted.Redacted<string>
  readonly baseUrl?: string | undefined
  readonly defaultMaxTokens?: number | undefined
}

/** The version of the API that this adapter was written for. */
export const apiVersion = "2023-06-01"

/** Anthropic. It has no embeddings: `embed` fails with `NotFound`. */
export const anthropic = (options: AnthropicOptions): Effect.Effect<Upstream, never, Transport> =>
  Effect.suspend(() =>
    HttpUpstream.make({
      ...options,
      protocol: protocol(options.defaultMaxTokens ?? 4_096),
      endpoint: Endpoint.fromBaseUrl(options.baseUrl ?? "https://api.anthropic.com/v1", {
        chat: "/messages",
        embeddings: "/embeddings"
      }),
      auth: Auth.xApiKey(options.apiKey),
      headers: { "anthropic-version": apiVersion, ...options.headers }
    })
  )

const noEmbeddings: ProviderReason = {
  _tag: "NotFound",
  detail: "Anthropic has no embeddings; name another provider for embedding models"
}

/** The protocol. */
export const protocol = (defaultMaxTokens: number): Protocol => ({
  encodeChat: (model, { chat }) => {
    const body = AnthropicRequest.fromChat(chat, model, defaultMaxTokens)
    return "_tag" in body && body["_tag"] === "BadRequest"
      ? // `fromChat` gives a body, which has no `_tag`, or a reason.
        (body as ProviderReason)
      : encoded(JSON.stringify(body))
  },
  decodeWhole: (text, _bytes, redact, nowMs) => {
    const value = parse(text)
    if (isObject(value) && value["type"] === "error") {
      return inBandReasonOf(faultOf(value, "the answer reported an error"), redact)
    }
    const completion = completionOf(value, Math.floor(nowMs / 1_000))
    return completion === undefined
      ? { _tag: "BadResponse", detail: value === undefined ? "the answer is not JSON" : "the answer is not a message" }
      : { _tag: "Whole", completion, data: JSON.stringify(completion) }
  },
  decodeStream: ({ chat, includeUsage }, redact, nowMs) =>
    AnthropicStream.make({
      withUsage: includeUsage || chat.stream_options?.include_usage === true,
      created: Math.floor(nowMs / 1_000),
      redact
    }),
  encodeEmbedding: () => noEmbeddings,
  decodeEmbedding: () => noEmbeddings
})

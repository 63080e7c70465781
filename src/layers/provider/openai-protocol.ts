/**
 * OpenAI's Chat Completions and Embeddings, as OpenAI, Azure, vLLM, Ollama,
 * Groq, OpenRouter and many others speak them. Our own shape is theirs, so
 * chunks and answers pass through as they came.
 *
 * Source: OpenAI API reference, "Chat Completions", "Streaming" (2026-11).
 */
import { isChatChunk } from "../../domain/chat.ts"
import type { ChatChunk, ChatCompletion } from "../../domain/chat.ts"
import type { EmbeddingResponse } from "../../domain/embedding.ts"
import type { ProviderReason } from "../../domain/errors.ts"
import * as ForwardBody from "./forward-body.ts"
import { isObject, parse } from "./json.ts"
import type { JsonObject } from "./json.ts"
import { encoded } from "./protocol.ts"
import type { Encoded, Protocol, Redact } from "./protocol.ts"
import { faultOf, inBandReasonOf } from "./status.ts"

/**
 * - `doneOptional`: a stream may end without `[DONE]` once every choice has its finish reason, for vendors that never
 *   send it. Default `false`: such an end counts as truncated
 * - `streamUsage`: the vendor knows `stream_options.include_usage`; default `true`
 */
export interface OpenAiProtocolOptions {
  readonly doneOptional?: boolean | undefined
  readonly streamUsage?: boolean | undefined
}

/** The protocol. */
export const make = (options: OpenAiProtocolOptions = {}): Protocol => {
  const doneOptional = options.doneOptional ?? false
  const streamUsage = options.streamUsage ?? true
  return {
    encodeChat: (model, { body, chat, includeUsage }) => {
      const asked = chat.stream_options
      if (!includeUsage || !streamUsage || chat.stream !== true || asked?.include_usage === true) {
        return bodyOf(ForwardBody.rewrite(body, chat, model, undefined))
      }
      const extra = { stream_options: { ...asked, include_usage: true } }
      // A field that is there already cannot be appended to the text.
      return bodyOf(ForwardBody.rewrite("stream_options" in chat ? undefined : body, chat, model, extra))
    },
    decodeWhole: (text, bytes, redact) => {
      const value = parse(text)
      const wrong = refused(value, redact)
      if (wrong !== undefined) return wrong
      return isObject(value) && Array.isArray(value["choices"])
        ? // Checked as far as anything here reads it; the rest is the vendor's and passes through.
          { _tag: "Whole", completion: value as unknown as ChatCompletion, data: text, bytes }
        : badResponse("a chat completion", value)
    },
    decodeStream: (_request, redact) => {
      const unfinished = new Set<number>()
      let choices = 0
      return {
        step: (event, out) => {
          const data = event.data
          if (data === "[DONE]") return "done"
          const value = parse(data)
          const wrong = event.event === "error" ? inBand(value, redact) : refused(value, redact)
          if (wrong !== undefined) return wrong
          if (!isChatChunk(value)) {
            return { _tag: "BrokenFrame", detail: value === undefined ? "not JSON" : "not a chat completion chunk" }
          }
          if (doneOptional) choices += track(value, unfinished)
          out.push({ _tag: "Chunk", chunk: value, data })
          return undefined
        },
        mayEnd: () => doneOptional && choices > 0 && unfinished.size === 0
      }
    },
    encodeEmbedding: (model, { body, embedding }) => bodyOf(ForwardBody.rewrite(body, embedding, model, undefined)),
    decodeEmbedding: (text, redact) => {
      const value = parse(text)
      const wrong = refused(value, redact)
      if (wrong !== undefined) return wrong
      return isObject(value) && Array.isArray(value["data"])
        ? // As above.
          { _tag: "Embedding", response: value as unknown as EmbeddingResponse, data: text }
        : badResponse("an embedding list", value)
    }
  }
}

/** Keeps the choices that have begun and not finished; the result is how many were seen in this chunk. */
const track = (chunk: ChatChunk, unfinished: Set<number>): number => {
  for (const choice of chunk.choices) {
    if (typeof choice.finish_reason === "string") unfinished.delete(choice.index)
    else unfinished.add(choice.index)
  }
  return chunk.choices.length
}

/** An error inside an answer with status 200: `{"error": …}`, or vLLM's `{"object": "error"}`. */
const refused = (value: unknown, redact: Redact): ProviderReason | undefined =>
  isObject(value) && ((value["error"] !== undefined && value["error"] !== null) || value["object"] === "error")
    ? inBand(value, redact)
    : undefined

const inBand = (value: JsonObject | unknown, redact: Redact): ProviderReason =>
  inBandReasonOf(faultOf(value, "the stream reported an error"), redact)

/** What a non-answer says is not repeated: nobody knows whose words are in it. */
const badResponse = (expected: string, value: unknown): ProviderReason => ({
  _tag: "BadResponse",
  detail: value === undefined ? "the answer is not JSON" : `the answer is not ${expected}`
})

const bodyOf = (body: string | undefined): Encoded | ProviderReason =>
  body === undefined ? { _tag: "BadRequest", detail: "The request is nested too deeply." } : encoded(body)

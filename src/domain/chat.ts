/**
 * Chat completions in OpenAI's shape: the request, the streamed chunk and the
 * whole answer. Only what Ballast itself reads is named here; every other
 * field (tools, response_format, images, vendor options) is kept untouched.
 *
 * Values of these types are the parsed JSON itself, checked but not copied, so
 * nothing that a client or a vendor sent can be lost on the way through.
 *
 * Source of the shape: OpenAI API reference, "Chat Completions" (2026-11).
 */
import { Schema } from "effect"
import { Usage } from "./usage.ts"

const rest = [Schema.Record(Schema.String, Schema.Unknown)] as const
const nullish = <S extends Schema.Top>(schema: S) => Schema.optional(Schema.NullOr(schema))
const positive = Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))
const between = (min: number, max: number) =>
  Schema.Finite.check(Schema.isGreaterThanOrEqualTo(min), Schema.isLessThanOrEqualTo(max))

/** One message of the conversation. `content` is text, a list of parts (text, image, audio …) or absent for tool calls. */
export const ChatMessage = Schema.StructWithRest(
  Schema.Struct({
    role: Schema.Literals(["system", "developer", "user", "assistant", "tool", "function"]),
    content: nullish(
      Schema.Union([
        Schema.String,
        Schema.Array(
          Schema.StructWithRest(Schema.Struct({ type: Schema.String, text: Schema.optional(Schema.String) }), rest)
        )
      ])
    )
  }),
  rest
)
export type ChatMessage = typeof ChatMessage.Type

/** The body of `POST /v1/chat/completions`. */
export const ChatRequest = Schema.StructWithRest(
  Schema.Struct({
    model: Schema.NonEmptyString,
    messages: Schema.Array(ChatMessage).check(Schema.isMinLength(1)),
    stream: nullish(Schema.Boolean),
    stream_options: nullish(Schema.StructWithRest(Schema.Struct({ include_usage: nullish(Schema.Boolean) }), rest)),
    max_tokens: nullish(positive),
    max_completion_tokens: nullish(positive),
    temperature: nullish(between(0, 2)),
    top_p: nullish(between(0, 1)),
    n: nullish(Schema.Int.check(Schema.isGreaterThanOrEqualTo(1), Schema.isLessThanOrEqualTo(128))),
    stop: nullish(Schema.Union([Schema.String, Schema.Array(Schema.String)])),
    user: nullish(Schema.String),
    tools: nullish(Schema.Array(Schema.StructWithRest(Schema.Struct({ type: Schema.String }), rest)))
  }),
  rest
)
export type ChatRequest = typeof ChatRequest.Type

/** Most output tokens this request may produce for each choice, or `undefined` when it names no limit. */
export const maxOutputTokens = (request: ChatRequest): number | undefined =>
  request.max_completion_tokens ?? request.max_tokens ?? undefined

/** Why a choice ended. `cost_cap`, `deadline` and `shutdown` are Ballast's own: the answer was cut on purpose. */
export type FinishReason = "stop" | "length" | "tool_calls" | "content_filter" | "function_call" | (string & {})

/** A piece of a tool call inside a streamed delta. */
export interface ToolCallDelta {
  readonly index: number
  readonly id?: string
  readonly type?: string
  readonly function?: { readonly name?: string; readonly arguments?: string }
}

/** What one streamed chunk adds to one choice. */
export interface ChatDelta {
  readonly role?: string
  readonly content?: string | null
  readonly refusal?: string | null
  readonly tool_calls?: ReadonlyArray<ToolCallDelta>
  readonly [key: string]: unknown
}

/** One choice of a streamed chunk. */
export interface ChunkChoice {
  readonly index: number
  readonly delta: ChatDelta
  readonly finish_reason?: FinishReason | null
  readonly [key: string]: unknown
}

/**
 * One `data:` event of a stream. The last chunk before `[DONE]` may have no
 * choices and the usage instead.
 *
 * A chunk is checked by {@link isChatChunk}, not by a schema: this is the
 * hottest border of all, and only the fields below decide anything.
 */
export interface ChatChunk {
  readonly id: string
  readonly object: "chat.completion.chunk"
  readonly created: number
  readonly model: string
  readonly choices: ReadonlyArray<ChunkChoice>
  readonly usage?: Usage | null
  readonly [key: string]: unknown
}

/** Whether a parsed `data:` event is a chunk that Ballast can meter: an object with a list of choices. */
export const isChatChunk = (value: unknown): value is ChatChunk =>
  typeof value === "object" && value !== null && "choices" in value && Array.isArray(value.choices)

/** One choice of a whole answer. */
export const ChatChoice = Schema.StructWithRest(
  Schema.Struct({
    index: Schema.Int,
    message: Schema.StructWithRest(Schema.Struct({ role: Schema.String }), rest),
    finish_reason: nullish(Schema.String)
  }),
  rest
)

/** The body of a non-streamed answer. */
export const ChatCompletion = Schema.StructWithRest(
  Schema.Struct({
    id: Schema.String,
    object: Schema.String,
    created: Schema.Finite,
    model: Schema.String,
    choices: Schema.Array(ChatChoice),
    usage: nullish(Usage)
  }),
  rest
)
export type ChatCompletion = typeof ChatCompletion.Type

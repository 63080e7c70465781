/**
 * The bytes that cross the wire: the request every server gets and the replies the mock gives. Shared by the mock and
 * the load generator, so that each knows what the other expects. Sizes are those of the recorded baselines: 844 B
 * request, 1,037 B reply, 191 B stream chunk with 20 bytes of text.
 */
const REQUEST_BYTES = 844
const REPLY_BYTES = 1037
const CHUNK_BYTES = 191

/** Model name of the reply that comes at once and whole. */
export const UNARY_MODEL = "bench"

/** Model name that makes the mock stream: `chunks` chunks, one each `intervalMs`, the first at once. */
export const pacedModel = (intervalMs: number, chunks: number): string => `paced-${intervalMs}x${chunks}`

/** The inverse of `pacedModel`, found anywhere in a request body. */
export const parsePacing = (body: string): { readonly intervalMs: number; readonly chunks: number } => {
  const found = /paced-(\d+)x(\d+)/.exec(body)
  return { intervalMs: Number(found?.[1] ?? 20), chunks: Number(found?.[2] ?? 100) }
}

/** Stands in each request where the load generator writes a running number, so that no two requests are equal. */
export const NUMBER_MARK = "#00000000"

/** In the text of each whole reply; a reply without it is not complete. */
export const REPLY_MARK = "end-of-reply"

const WORDS = "the quick brown fox jumps over the lazy dog and then writes a short report about it; "

const padTo = (bytes: number, build: (filler: string) => string): string => {
  const bare = build("").length
  if (bare > bytes) return build("")
  return build(WORDS.repeat(Math.ceil((bytes - bare) / WORDS.length)).slice(0, bytes - bare))
}

/** Body of a chat completion request, 844 bytes. */
export const requestBody = (model: string, stream: boolean): string =>
  padTo(REQUEST_BYTES, (filler) =>
    JSON.stringify({
      model,
      messages: [
        { role: "system", content: "You are a careful assistant. Answer in one short paragraph." },
        { role: "user", content: `Request ${NUMBER_MARK}: summarise this. ${filler}` }
      ],
      temperature: 0.2,
      max_tokens: 256,
      user: "user-17",
      ...(stream ? { stream: true, stream_options: { include_usage: true } } : {})
    })
  )

/** Body of the whole reply, 1,037 bytes. */
export const replyBody: string = padTo(REPLY_BYTES, (filler) =>
  JSON.stringify({
    id: "chatcmpl-0123456789abcdef",
    object: "chat.completion",
    created: 1_760_000_000,
    model: UNARY_MODEL,
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: `${filler}${REPLY_MARK}`, refusal: null },
        logprobs: null,
        finish_reason: "stop"
      }
    ],
    usage: {
      prompt_tokens: 180,
      completion_tokens: 160,
      total_tokens: 340,
      prompt_tokens_details: { cached_tokens: 0 },
      completion_tokens_details: { reasoning_tokens: 0 }
    },
    system_fingerprint: "fp_0123456789"
  })
)

const event = (choices: ReadonlyArray<unknown>, more: Record<string, unknown> = {}, id = "chatcmpl-"): string => {
  const chunk = { id, object: "chat.completion.chunk", created: 1_760_000_000, model: "bench", choices, ...more }
  return `data: ${JSON.stringify(chunk)}\n\n`
}

const choice = (delta: Record<string, unknown>, finish: string | null): ReadonlyArray<unknown> => [
  { index: 0, delta, finish_reason: finish }
]

const contentEvent = (id: string): string => event(choice({ content: "twenty bytes of text" }, null), {}, id)

/** One streamed chunk, 191 bytes. */
export const streamChunk: string = contentEvent(
  "chatcmpl-".padEnd("chatcmpl-".length + CHUNK_BYTES - contentEvent("chatcmpl-").length, "0123456789")
)

/** What follows the last chunk: finish reason, usage when it was asked for, and the terminator. */
export const streamTail = (usage: boolean): string =>
  event(choice({}, "stop")) +
  (usage ? event([], { usage: { prompt_tokens: 180, completion_tokens: 500, total_tokens: 680 } }) : "") +
  "data: [DONE]\n\n"

/** Answers in OpenAI's shape for a scripted upstream, whole and streamed. */
import type { ScriptedCall } from "./scripted-upstream.ts"

/** A whole completion with `message`. */
export const completion = (message: object, finish = "stop") => ({
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 1,
  model: "upstream-chat",
  choices: [
    { index: 0, message: { role: "assistant", content: null, ...message }, logprobs: null, finish_reason: finish }
  ],
  usage: { prompt_tokens: 5, completion_tokens: 7, total_tokens: 12 }
})

/** A streamed chunk of one choice. */
export const chunk = (delta: object, finish: string | null = null) => ({
  id: "chatcmpl-1",
  object: "chat.completion.chunk",
  created: 1,
  model: "upstream-chat",
  choices: [{ index: 0, delta, finish_reason: finish }]
})

/** The chunk that has only the token counts. */
export const usageChunk = {
  ...chunk({}),
  choices: [],
  usage: { prompt_tokens: 5, completion_tokens: 7, total_tokens: 12 }
}

/** OpenAI's error body. */
export const errorOf = (message: string, rest: object = {}) => ({
  error: { message, type: "server_error", param: null, code: null, ...rest }
})

/** Answer a call with JSON. */
export const json = (
  call: ScriptedCall,
  body: unknown,
  status = 200,
  headers: Readonly<Record<string, string>> = {}
): void => {
  call.response.writeHead(status, { "content-type": "application/json", ...headers })
  call.response.end(JSON.stringify(body))
}

/** Begin a stream with these events; it stays open until `response.end`. */
export const begin = (call: ScriptedCall, events: ReadonlyArray<unknown>): void => {
  call.response.writeHead(200, { "content-type": "text/event-stream" })
  for (const event of events) call.response.write(`data: ${JSON.stringify(event)}\n\n`)
}

/** A complete stream of these events. */
export const stream = (call: ScriptedCall, events: ReadonlyArray<unknown>): void => {
  begin(call, events)
  call.response.end("data: [DONE]\n\n")
}

/**
 * From an answer of Anthropic's Messages API to a chat completion in OpenAI's
 * shape: content blocks, stop reasons, usage.
 */
import type { ChatCompletion, FinishReason } from "../../domain/chat.ts"
import type { Usage } from "../../domain/usage.ts"
import { countOf, isObject, listOf, stringOf } from "./json.ts"
import type { JsonObject } from "./json.ts"

/** OpenAI's name for a stop reason; an unknown one is passed on as it is. */
export const finishReasonOf = (stopReason: string | undefined): FinishReason => {
  switch (stopReason) {
    case undefined:
    case "end_turn":
    case "stop_sequence":
    case "pause_turn":
      return "stop"
    case "max_tokens":
    case "model_context_window_exceeded":
      return "length"
    case "tool_use":
      return "tool_calls"
    case "refusal":
      return "content_filter"
    default:
      return stopReason
  }
}

/**
 * Usage in OpenAI's terms. Anthropic counts tokens read from and written to
 * its prompt cache beside `input_tokens`; OpenAI's `prompt_tokens` includes
 * them. Later reports of a stream (`latest`) replace the fields they have.
 */
export const usageOf = (usage: unknown, latest?: unknown): Usage => {
  const all: JsonObject = { ...(isObject(usage) ? usage : {}), ...(isObject(latest) ? latest : {}) }
  const read = countOf(all["cache_read_input_tokens"])
  const written = countOf(all["cache_creation_input_tokens"])
  const prompt = countOf(all["input_tokens"]) + read + written
  const completion = countOf(all["output_tokens"])
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: read, cache_creation_tokens: written }
  }
}

/** A message as a completion; `undefined` where it is not a message. `created` is epoch seconds. */
export const completionOf = (value: unknown, created: number): ChatCompletion | undefined => {
  if (!isObject(value) || !Array.isArray(value["content"])) return undefined
  let text = ""
  let reasoning = ""
  const toolCalls: Array<JsonObject> = []
  for (const block of listOf(value["content"]).filter(isObject)) {
    switch (block["type"]) {
      case "text":
        text += stringOf(block["text"]) ?? ""
        break
      case "thinking":
        reasoning += stringOf(block["thinking"]) ?? ""
        break
      case "tool_use":
        toolCalls.push({
          id: block["id"],
          type: "function",
          function: { name: block["name"], arguments: JSON.stringify(block["input"] ?? {}) }
        })
        break
    }
  }
  return {
    id: stringOf(value["id"]) ?? "",
    object: "chat.completion",
    created,
    model: stringOf(value["model"]) ?? "",
    choices: [
      {
        index: 0,
        message: {
          role: "assistant",
          content: text === "" && toolCalls.length > 0 ? null : text,
          ...(reasoning === "" ? {} : { reasoning_content: reasoning }),
          ...(toolCalls.length === 0 ? {} : { tool_calls: toolCalls })
        },
        finish_reason: finishReasonOf(stringOf(value["stop_reason"]))
      }
    ],
    usage: usageOf(value["usage"])
  }
}

/**
 * From a chat request in OpenAI's shape to a body of Anthropic's Messages API.
 *
 * System and developer messages are lifted out; consecutive messages of one
 * role are merged, so that all results of one round of tool calls stand in one
 * message, as the API demands. What has no counterpart and would change the
 * answer is refused (`BadRequest` naming the field), the rest is left out:
 * penalties, `logit_bias`, `logprobs`, `seed`, `store`, `metadata`, JSON mode without a schema.
 *
 * Source: Anthropic API reference, "Messages" (2026-11), `anthropic-version: 2023-06-01`.
 */
import { maxOutputTokens } from "../../domain/chat.ts"
import type { ChatMessage, ChatRequest } from "../../domain/chat.ts"
import type { ProviderReason } from "../../domain/errors.ts"
import { isObject, listOf, parse, stringOf } from "./json.ts"
import type { JsonObject } from "./json.ts"

type Block = JsonObject & { readonly type: string }
interface Turn {
  readonly role: "user" | "assistant"
  readonly content: Array<Block>
}

/** A part of the request that cannot be translated. */
interface Refusal {
  readonly _tag: "BadRequest"
  readonly detail: string
  readonly param: string
}

const refuse = (param: string, detail: string): Refusal => ({
  _tag: "BadRequest",
  detail: `${detail}, which this provider does not support`,
  param
})
const isRefusal = (value: object): value is Refusal => "_tag" in value

/** The body for `model`, not yet text; `defaultMaxTokens` stands where the request names no limit, because the API demands one. */
export const fromChat = (
  chat: ChatRequest,
  model: string,
  defaultMaxTokens: number
): JsonObject | Extract<ProviderReason, { readonly _tag: "BadRequest" }> => {
  if ((chat.n ?? 1) > 1) return refuse("n", `n is ${chat.n}`)
  const system: Array<Block> = []
  const turns: Array<Turn> = []
  for (const [index, message] of chat.messages.entries()) {
    const blocks = blocksOf(message, `messages[${index}]`)
    if (isRefusal(blocks)) return blocks
    if (message.role === "system" || message.role === "developer") {
      system.push(...blocks)
      continue
    }
    if (blocks.length === 0) continue
    const role = message.role === "assistant" ? "assistant" : "user"
    const last = turns.at(-1)
    if (last?.role === role) last.content.push(...blocks)
    else turns.push({ role, content: [...blocks] })
  }
  const tools = listOf(chat.tools).filter(isObject).map(toolOf)
  const stop = typeof chat.stop === "string" ? [chat.stop] : (chat.stop ?? undefined)
  const format = formatOf(chat["response_format"])
  return {
    model,
    max_tokens: maxOutputTokens(chat) ?? defaultMaxTokens,
    messages: turns,
    ...(system.length === 0 ? {} : { system }),
    ...(tools.length === 0 ? {} : { tools, ...toolChoiceOf(chat) }),
    ...(stop === undefined || stop.length === 0 ? {} : { stop_sequences: stop }),
    // OpenAI's range ends at 2, Anthropic's at 1.
    ...(typeof chat.temperature === "number" ? { temperature: Math.min(1, Math.max(0, chat.temperature)) } : {}),
    ...(typeof chat.top_p === "number" ? { top_p: chat.top_p } : {}),
    ...(typeof chat["top_k"] === "number" ? { top_k: chat["top_k"] } : {}),
    ...(isObject(chat["thinking"]) ? { thinking: chat["thinking"] } : {}),
    ...(typeof chat.user === "string" ? { metadata: { user_id: chat.user } } : {}),
    ...(format === undefined ? {} : { output_config: { format } }),
    ...(chat.stream === true ? { stream: true } : {})
  }
}

const blocksOf = (message: ChatMessage, path: string): ReadonlyArray<Block> | Refusal => {
  const content = partsOf(message.content, `${path}.content`)
  if (isRefusal(content)) return content
  switch (message.role) {
    case "assistant": {
      const calls: Array<Block> = []
      for (const call of listOf(message["tool_calls"]).filter(isObject)) {
        const block = toolUseOf(call, `${path}.tool_calls`)
        if (isRefusal(block)) return block
        calls.push(block)
      }
      return [...content, ...calls]
    }
    case "tool":
      return [
        {
          type: "tool_result",
          tool_use_id: stringOf(message["tool_call_id"]) ?? "",
          ...(content.length === 0 ? {} : { content })
        }
      ]
    case "function":
      return refuse(`${path}.role`, "the role is 'function'")
    default:
      return content
  }
}

/** Blocks of a message's content. Empty texts are left out, because the API refuses them. */
const partsOf = (content: ChatMessage["content"], path: string): ReadonlyArray<Block> | Refusal => {
  if (content === undefined || content === null || content === "") return []
  if (typeof content === "string") return [{ type: "text", text: content }]
  const blocks: Array<Block> = []
  for (const [index, part] of content.entries()) {
    const block = partOf(part, `${path}[${index}]`)
    if (isRefusal(block)) return block
    if (block.type === "text" && block["text"] === "") continue
    // A mark for Anthropic's prompt cache, which callers put on parts.
    blocks.push(part["cache_control"] === undefined ? block : { ...block, cache_control: part["cache_control"] })
  }
  return blocks
}

const partOf = (part: JsonObject & { readonly type: string }, path: string): Block | Refusal => {
  switch (part.type) {
    case "text":
      return { type: "text", text: stringOf(part["text"]) ?? "" }
    case "refusal":
      return { type: "text", text: stringOf(part["refusal"]) ?? "" }
    case "image_url": {
      const image = part["image_url"]
      const url = stringOf(image) ?? (isObject(image) ? stringOf(image["url"]) : undefined)
      return url === undefined ? refuse(path, "the image has no URL") : { type: "image", source: sourceOf(url) }
    }
    case "file": {
      const file = part["file"]
      const data = isObject(file) ? stringOf(file["file_data"]) : undefined
      return data === undefined
        ? refuse(path, "the file is not sent inline")
        : { type: "document", source: sourceOf(data) }
    }
    case "image":
    case "document":
      // Written for Anthropic already.
      return part
    default:
      return refuse(path, `the content part is of type '${part.type}'`)
  }
}

const dataUrl = /^data:([^;,]+)(?:;[^;,]+)*;base64,/

const sourceOf = (url: string): JsonObject => {
  const match = dataUrl.exec(url)
  return match === null
    ? { type: "url", url }
    : { type: "base64", media_type: match[1], data: url.slice(match[0].length) }
}

const toolUseOf = (call: JsonObject, path: string): Block | Refusal => {
  const f = isObject(call["function"]) ? call["function"] : {}
  const text = stringOf(f["arguments"]) ?? ""
  const input = text.trim() === "" ? {} : parse(text)
  return isObject(input)
    ? { type: "tool_use", id: stringOf(call["id"]) ?? "", name: stringOf(f["name"]) ?? "", input }
    : refuse(path, "the arguments of a tool call are not a JSON object")
}

/** A function becomes a tool; tools of any other type are the vendor's own and pass through. */
const toolOf = (tool: JsonObject): JsonObject => {
  const f = tool["function"]
  if (tool["type"] !== "function" || !isObject(f)) return tool
  return {
    name: f["name"],
    ...(f["description"] === undefined ? {} : { description: f["description"] }),
    input_schema: f["parameters"] ?? { type: "object", properties: {} },
    ...(tool["cache_control"] === undefined ? {} : { cache_control: tool["cache_control"] })
  }
}

const toolChoiceOf = (chat: ChatRequest): JsonObject => {
  const choice = chat["tool_choice"]
  const named = isObject(choice) && isObject(choice["function"]) ? stringOf(choice["function"]["name"]) : undefined
  const serial = chat["parallel_tool_calls"] === false ? { disable_parallel_tool_use: true } : undefined
  if (choice === "none") return { tool_choice: { type: "none" } }
  if (choice === "required") return { tool_choice: { type: "any", ...serial } }
  if (named !== undefined) return { tool_choice: { type: "tool", name: named, ...serial } }
  return choice === "auto" || serial !== undefined ? { tool_choice: { type: "auto", ...serial } } : {}
}

const formatOf = (format: unknown): JsonObject | undefined => {
  if (!isObject(format) || format["type"] !== "json_schema" || !isObject(format["json_schema"])) return undefined
  return { type: "json_schema", schema: format["json_schema"]["schema"] }
}

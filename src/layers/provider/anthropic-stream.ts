/**
 * From the events of a streamed Anthropic message to chunks in OpenAI's shape.
 *
 * `message_start` makes no chunk of its own: the role travels with the first
 * content. So an upstream that is overloaded between the two can still be
 * retried, because nothing has been passed on.
 *
 * Source: Anthropic API reference, "Streaming messages" (2026-11): unknown
 * event and delta types are to be ignored, `error` events may come at any time.
 */
import type { ChatChunk, ChatDelta, ChunkChoice } from "../../domain/chat.ts"
import type { CompletionEvent } from "../../services/provider.ts"
import { finishReasonOf, usageOf } from "./anthropic-answer.ts"
import { isObject, parse, stringOf } from "./json.ts"
import type { JsonObject } from "./json.ts"
import type { Redact, StreamDecoder } from "./protocol.ts"
import { faultOf, inBandReasonOf } from "./status.ts"

/** A decoder of one stream. `withUsage`: end with a usage chunk. `created` is epoch seconds. */
export const make = (options: {
  readonly withUsage: boolean
  readonly created: number
  readonly redact: Redact
}): StreamDecoder => {
  let id = ""
  let model = ""
  let usage: unknown
  let latest: unknown
  let started = false
  /** Index among the tool calls, by the index among all blocks. */
  const tools = new Map<unknown, number>()

  const chunkOf = (choices: ReadonlyArray<ChunkChoice>, rest?: JsonObject): CompletionEvent => {
    const chunk: ChatChunk = {
      id,
      object: "chat.completion.chunk",
      created: options.created,
      model,
      choices,
      ...rest
    }
    return { _tag: "Chunk", chunk, data: JSON.stringify(chunk) }
  }

  const emit = (out: Array<CompletionEvent>, delta: ChatDelta, finish_reason: string | null = null): undefined => {
    out.push(
      chunkOf([{ index: 0, delta: started ? delta : { role: "assistant", content: "", ...delta }, finish_reason }])
    )
    started = true
    return undefined
  }

  const blockStart = (event: JsonObject, out: Array<CompletionEvent>): undefined => {
    const block = isObject(event["content_block"]) ? event["content_block"] : {}
    if (block["type"] === "text") {
      const text = stringOf(block["text"])
      return text === undefined || text === "" ? undefined : emit(out, { content: text })
    }
    if (block["type"] !== "tool_use") return undefined
    const index = tools.size
    tools.set(event["index"], index)
    const f = { name: stringOf(block["name"]) ?? "", arguments: "" }
    return emit(out, { tool_calls: [{ index, id: stringOf(block["id"]) ?? "", type: "function", function: f }] })
  }

  const blockDelta = (event: JsonObject, out: Array<CompletionEvent>): undefined => {
    const delta = isObject(event["delta"]) ? event["delta"] : {}
    switch (delta["type"]) {
      case "text_delta":
        return emit(out, { content: stringOf(delta["text"]) ?? "" })
      case "thinking_delta":
        return emit(out, { reasoning_content: stringOf(delta["thinking"]) ?? "" })
      case "input_json_delta": {
        const index = tools.get(event["index"])
        // The input of a tool that the vendor runs itself is not the caller's.
        if (index === undefined) return undefined
        return emit(out, { tool_calls: [{ index, function: { arguments: stringOf(delta["partial_json"]) ?? "" } }] })
      }
      default:
        return undefined
    }
  }

  return {
    mayEnd: () => false,
    step: (frame, out) => {
      const event = parse(frame.data)
      if (!isObject(event)) {
        return { _tag: "BrokenFrame", detail: event === undefined ? "not JSON" : "not an event" }
      }
      switch (event["type"]) {
        case "message_start": {
          const message = isObject(event["message"]) ? event["message"] : {}
          id = stringOf(message["id"]) ?? ""
          model = stringOf(message["model"]) ?? ""
          usage = message["usage"]
          return undefined
        }
        case "content_block_start":
          return blockStart(event, out)
        case "content_block_delta":
          return blockDelta(event, out)
        case "message_delta": {
          // Its counts are totals up to now.
          latest = event["usage"] ?? latest
          const reason = isObject(event["delta"]) ? stringOf(event["delta"]["stop_reason"]) : undefined
          return reason === undefined ? undefined : emit(out, {}, finishReasonOf(reason))
        }
        case "message_stop":
          if (options.withUsage) out.push(chunkOf([], { usage: usageOf(usage, latest) }))
          return "done"
        case "error":
          return inBandReasonOf(faultOf(event, "the stream reported an error"), options.redact)
        default:
          return undefined
      }
    }
  }
}

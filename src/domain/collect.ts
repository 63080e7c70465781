/**
 * Between the two shapes of an answer: a stream of chunks folded into a whole
 * completion, and a whole completion told as chunks.
 */
import type { ChatChunk, ChatCompletion, ChatDelta } from "./chat.ts"
import type { Usage } from "./usage.ts"

interface ToolCall {
  id: string
  type: string
  function: { name: string; arguments: string }
}

interface Choice {
  role: string
  content: string | null
  refusal: string | null
  toolCalls: Array<ToolCall>
  finishReason: string | null
}

/** Folds chunks, one after the other, into a completion. */
export interface Collector {
  readonly add: (chunk: ChatChunk) => void
  /** The completion so far; `undefined` before the first chunk. */
  readonly result: () => ChatCompletion | undefined
}

/** A collector for one stream. */
export const make = (): Collector => {
  let head: ChatChunk | undefined
  let usage: Usage | undefined
  const choices: Array<Choice | undefined> = []
  return {
    add: (chunk) => {
      head ??= chunk
      usage = chunk.usage ?? usage
      for (const { delta, finish_reason, index } of chunk.choices) {
        const choice = (choices[index] ??= {
          role: "assistant",
          content: null,
          refusal: null,
          toolCalls: [],
          finishReason: null
        })
        addDelta(choice, delta ?? {})
        choice.finishReason = finish_reason ?? choice.finishReason
      }
    },
    result: () =>
      head && {
        id: head.id,
        object: "chat.completion",
        created: head.created,
        model: head.model,
        choices: choices.flatMap((choice, index) =>
          choice === undefined
            ? []
            : [{ index, message: messageOf(choice), logprobs: null, finish_reason: choice.finishReason }]
        ),
        ...(usage === undefined ? {} : { usage })
      }
  }
}

const addDelta = (choice: Choice, delta: ChatDelta): void => {
  choice.role = delta.role ?? choice.role
  if (typeof delta.content === "string") choice.content = (choice.content ?? "") + delta.content
  if (typeof delta.refusal === "string") choice.refusal = (choice.refusal ?? "") + delta.refusal
  for (const call of delta.tool_calls ?? []) {
    const known = (choice.toolCalls[call.index] ??= { id: "", type: "function", function: { name: "", arguments: "" } })
    known.id = call.id ?? known.id
    known.type = call.type ?? known.type
    known.function.name += call.function?.name ?? ""
    known.function.arguments += call.function?.arguments ?? ""
  }
}

const messageOf = (choice: Choice) => ({
  role: choice.role,
  content: choice.content,
  refusal: choice.refusal,
  ...(choice.toolCalls.length === 0 ? {} : { tool_calls: choice.toolCalls.filter((call) => call !== undefined) })
})

/** A whole completion told as a stream: one chunk with everything, one with the finish reason, one with the usage. */
export const toChunks = (completion: ChatCompletion): ReadonlyArray<ChatChunk> => {
  const head = {
    id: completion.id,
    object: "chat.completion.chunk" as const,
    created: completion.created,
    model: completion.model
  }
  return [
    {
      ...head,
      choices: completion.choices.map(({ index, message }) => ({ index, delta: asDelta(message), finish_reason: null }))
    },
    {
      ...head,
      choices: completion.choices.map(({ finish_reason, index }) => ({
        index,
        delta: {},
        finish_reason: finish_reason ?? "stop"
      }))
    },
    ...(completion.usage ? [{ ...head, choices: [], usage: completion.usage }] : [])
  ]
}

/** A message is a delta whose tool calls have no index yet. */
const asDelta = (message: ChatCompletion["choices"][number]["message"]): ChatDelta => {
  const calls = message["tool_calls"]
  // Everything else of a message has the same name and shape in a delta.
  return (
    Array.isArray(calls)
      ? { ...message, tool_calls: calls.map((call: object, index) => ({ ...call, index })) }
      : message
  ) as ChatDelta
}

/**
 * Between the two shapes of an answer: a stream of chunks folded into a whole
 * completion, and a whole completion told as chunks. Fields that Ballast does
 * not know (reasoning text, citations, vendor options) come through both ways.
 */
import type { ChatChunk, ChatCompletion, ChatDelta, ChunkChoice } from "./chat.ts"
import type { Usage } from "./usage.ts"

type Fields = Record<string, unknown>

interface Choice {
  readonly message: Fields
  /** What stands beside the delta: `logprobs`, and what vendors add. */
  readonly beside: Fields
  /** By `index`. A map, because a provider may number them as it likes. */
  readonly toolCalls: Map<number, Fields>
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
  let first: ChatChunk | undefined
  let usage: Usage | undefined
  const head: Fields = {}
  const choices = new Map<number, Choice>()
  return {
    add: (chunk) => {
      first ??= chunk
      usage = chunk.usage ?? usage
      for (const [field, value] of Object.entries(chunk)) if (!ownFields.has(field)) head[field] = value ?? head[field]
      for (const { delta, finish_reason, index, ...beside } of chunk.choices) {
        const choice = choices.get(index) ?? newChoice()
        choices.set(index, choice)
        addDelta(choice, delta ?? {})
        merge(choice.beside, beside)
        choice.finishReason = finish_reason ?? choice.finishReason
      }
    },
    result: () =>
      first && {
        ...head,
        id: first.id,
        object: "chat.completion",
        created: first.created,
        model: first.model,
        choices: inOrder(choices).map(([index, choice]) => ({
          logprobs: null,
          ...choice.beside,
          index,
          message: messageOf(choice),
          finish_reason: choice.finishReason
        })),
        ...(usage === undefined ? {} : { usage })
      }
  }
}

/** Fields of a chunk that a completion has its own of, or (the padding against listeners) none. */
const ownFields = new Set(["id", "object", "created", "model", "choices", "usage", "obfuscation"])

const newChoice = (): Choice => ({
  message: { role: "assistant", content: null, refusal: null },
  beside: {},
  toolCalls: new Map(),
  finishReason: null
})

const addDelta = ({ message, toolCalls }: Choice, { tool_calls, ...delta }: ChatDelta): void => {
  merge(message, delta)
  for (const { index, ...call } of tool_calls ?? []) {
    const at = index ?? withoutIndex(toolCalls, call.id)
    const known = toolCalls.get(at) ?? { id: "", type: "function" }
    toolCalls.set(at, known)
    merge(known, call)
  }
}

/** Some vendors send whole tool calls and no index: an id begins a new one, the rest belongs to the last. */
const withoutIndex = (toolCalls: ReadonlyMap<number, Fields>, id: string | undefined): number => {
  const last = Math.max(-1, ...toolCalls.keys())
  return id !== undefined || last === -1 ? last + 1 : last
}

const messageOf = ({ message, toolCalls }: Choice) => ({
  ...message,
  role: String(message["role"]),
  ...(toolCalls.size === 0 ? {} : { tool_calls: inOrder(toolCalls).map(([, call]) => call) })
})

const inOrder = <A>(byIndex: ReadonlyMap<number, A>): ReadonlyArray<readonly [number, A]> =>
  Array.from(byIndex).toSorted(([one], [other]) => one - other)

/** Fields whose value is whole whenever it comes; some vendors repeat them in every chunk. */
const wholeFields = new Set(["role", "id", "type", "name", "index"])

/** Add the fields of a piece to what is there: texts and lists grow, objects are merged, everything else is replaced. */
const merge = (known: Fields, piece: object): void => {
  for (const [field, value] of Object.entries(piece)) {
    // Written to, it would change the prototype that all objects share.
    if (field === "__proto__") continue
    if (value === undefined || value === null || (value === "" && wholeFields.has(field))) {
      known[field] ??= value
      continue
    }
    const before = known[field]
    if (typeof before === "string" && typeof value === "string" && !wholeFields.has(field)) {
      known[field] = before + value
    } else if (Array.isArray(before) && Array.isArray(value)) {
      known[field] = [...before, ...value]
    } else if (isFields(value)) {
      const inner: Fields = isFields(before) ? before : {}
      merge(inner, value)
      known[field] = inner
    } else {
      known[field] = value
    }
  }
}

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** A whole completion told as a stream: one chunk with everything, one with the finish reason, one with the usage. */
export const toChunks = (completion: ChatCompletion): ReadonlyArray<ChatChunk> => {
  const { choices, usage, ...rest } = completion
  const head = { ...rest, object: "chat.completion.chunk" as const }
  return [
    {
      ...head,
      choices: choices.map(({ message, ...choice }): ChunkChoice => ({
        ...choice,
        delta: asDelta(message),
        finish_reason: null
      }))
    },
    {
      ...head,
      choices: choices.map(({ finish_reason, index }) => ({ index, delta: {}, finish_reason: finish_reason ?? "stop" }))
    },
    ...(usage ? [{ ...head, choices: [], usage }] : [])
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

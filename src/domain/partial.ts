/**
 * Partial answers: how an answer that broke off is ended so that stock clients
 * read it as what it is.
 *
 * Each unfinished choice gets the finish reason `length`, the one of OpenAI's
 * reasons that means "there would have been more", and the answer a banner in
 * the field `ballast`. A tool call that is not whole is no call: a whole answer
 * leaves it out, and a stream that has shown a piece of one cannot be ended at
 * all, for nothing takes the piece back.
 */
import { Result } from "effect"
import type { ChatChunk, ChatCompletion, ChatDelta } from "./chat.ts"
import { helpFields, keyOf } from "./error-table.ts"
import type { ErrorKey, Help } from "./error-table.ts"
import type { CompleteError } from "./errors.ts"
import type { Usage } from "./usage.ts"

/** What the reader of a partial answer is told beside it. */
export interface Banner {
  readonly partial: true
  /** The key of the error that broke it off, e.g. `ProviderError.Truncated`. */
  readonly reason: ErrorKey
  readonly message: string
  readonly request_id: string
  readonly help?: string
  readonly help_url?: string
}

/** The banner of an answer that `error` broke off. */
export const bannerOf = (error: CompleteError, requestId: string, help: Help): Banner => ({
  partial: true,
  reason: keyOf(error),
  message: `The answer broke off. ${error.message}`,
  request_id: requestId,
  ...helpFields(help)
})

/** The finish reason of a choice that was cut. */
const cut = "length"

/** Some vendors repeat an empty list, or null, in every chunk. */
const hasCalls = ({ function_call, tool_calls }: ChatDelta): boolean =>
  (Array.isArray(tool_calls) && tool_calls.length > 0) || (function_call !== undefined && function_call !== null)

interface Choice {
  /** Something was said: text, not a tool call. */
  text: boolean
  /** A tool call, or an old function call, has begun. */
  calls: boolean
  finished: boolean
}

/** Watches the chunks of a stream, to know how it could be ended where it breaks off. */
export class Watch {
  /** Whether a choice ended by its length. */
  lengthMet = false
  private last: ChatChunk | undefined
  private readonly choices = new Map<number, Choice>()

  /** One more chunk has gone by. */
  see(chunk: ChatChunk): void {
    this.last = chunk
    for (const { delta, finish_reason, index } of chunk.choices) {
      let choice = this.choices.get(index)
      if (choice === undefined) this.choices.set(index, (choice = { text: false, calls: false, finished: false }))
      if (typeof delta?.content === "string" && delta.content !== "") choice.text = true
      if (delta !== undefined && hasCalls(delta)) choice.calls = true
      if (typeof finish_reason === "string") {
        choice.finished = true
        if (finish_reason === cut) this.lengthMet = true
      }
    }
  }

  /**
   * The chunks that end the stream here because it has used up its money: whatever was said last, for the reader has to
   * be told, and nothing more may be spent.
   */
  stopped(banner: Banner, usage: Usage): readonly [ChatChunk, ...Array<ChatChunk>] | undefined {
    if (this.last === undefined) return undefined
    const { created, id, model, object } = this.last
    const head = { id, object, created, model }
    const unfinished = Array.from(this.choices).filter(([, { finished }]) => !finished)
    return [
      {
        ...head,
        choices: unfinished.map(([index]) => ({ index, delta: {}, finish_reason: "cost_cap" })),
        ballast: banner
      },
      { ...head, choices: [], usage }
    ]
  }

  /**
   * The chunks that end the stream here: finish reasons and banner, then `usage` where it is given. `undefined` where
   * nothing was generated that could be used, or a tool call is half said.
   */
  ending(banner: Banner, usage: Usage | undefined): readonly [ChatChunk, ...Array<ChatChunk>] | undefined {
    if (this.last === undefined) return undefined
    const choices = Array.from(this.choices)
    if (!choices.some(([, { finished, text }]) => text || finished)) return undefined
    const unfinished = choices.filter(([, { finished }]) => !finished)
    if (unfinished.some(([, { calls }]) => calls)) return undefined
    const { created, id, model, object } = this.last
    const head = { id, object, created, model }
    const end: ChatChunk = {
      ...head,
      choices: unfinished.map(([index]) => ({ index, delta: {}, finish_reason: cut })),
      ballast: banner
    }
    return usage === undefined ? [end] : [end, { ...head, choices: [], usage }]
  }
}

/** As much of a collected answer as can be used; `undefined` where that is nothing. */
export const ofCollected = (collected: ChatCompletion, banner: Banner): ChatCompletion | undefined => {
  let useful = false
  const choices = collected.choices.map((choice) => {
    const finished = typeof choice.finish_reason === "string"
    const message = finished ? choice.message : withoutBrokenCalls(choice.message)
    const { content, function_call, tool_calls } = message
    useful ||= finished || isText(content) || tool_calls !== undefined || function_call !== undefined
    return finished ? choice : { ...choice, message, finish_reason: cut }
  })
  return useful ? { ...collected, choices, ballast: banner } : undefined
}

const isText = (content: unknown): boolean => typeof content === "string" && content !== ""

type Message = ChatCompletion["choices"][number]["message"]

const withoutBrokenCalls = ({ function_call, tool_calls, ...message }: Message): Message => {
  const calls = Array.isArray(tool_calls) ? tool_calls.filter((call) => isWhole(fieldOf(call, "function"))) : []
  return {
    ...message,
    role: message.role,
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
    ...(isWhole(function_call) ? { function_call } : {})
  }
}

/** Whether the arguments of a function are all there. No JSON object is the beginning of another, so one that parses is. */
const isWhole = (called: unknown): boolean => {
  const text = fieldOf(called, "arguments")
  if (typeof text !== "string") return false
  const parsed = Result.try((): unknown => JSON.parse(text))
  return Result.isSuccess(parsed) && typeof parsed.success === "object" && parsed.success !== null
}

const fieldOf = (value: unknown, field: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, field)
    ? // Own field, checked in the same expression.
      (value as Record<string, unknown>)[field]
    : undefined

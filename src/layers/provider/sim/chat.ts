/**
 * Chat completions of the simulated provider, as OpenAI would write them: the
 * role first, then the text a piece at a time, then the reason of the end,
 * then the usage where it was asked for.
 *
 * The text depends on the seed and the prompt alone: same prompt, same answer.
 * One `n` gives as many choices with the same text.
 */
import { Cause, Effect } from "effect"
import type { Array as Arr, Pull, Scope } from "effect"
import { maxOutputTokens } from "../../../domain/chat.ts"
import type { ChatChunk, ChatCompletion, ChatDelta, ChatRequest, ChunkChoice } from "../../../domain/chat.ts"
import * as Usage from "../../../domain/usage.ts"
import type { ChunkEvent, WholeEvent } from "../../../services/provider.ts"
import type { Call, Engine } from "./engine.ts"
import * as Failure from "./failure.ts"
import * as Faults from "./faults.ts"
import { decodeDirective } from "./options.ts"
import type { Directive } from "./options.ts"
import * as Processor from "./processor.ts"
import * as Random from "./random.ts"
import * as Text from "./text.ts"

/** An answer that was let in; nothing of it is there yet. Read one of the two, once. */
export interface Answer {
  readonly call: Call
  /** All chunks that are due, in one array; waits where there is none. */
  readonly chunks: Pull.Pull<Arr.NonEmptyReadonlyArray<ChunkEvent>, Failure.Failure>
  readonly whole: Effect.Effect<WholeEvent, Failure.Failure>
}

/** The field `sim` of a request. */
export const directiveOf = (body: {
  readonly [key: string]: unknown
}): Effect.Effect<Directive | undefined, Failure.Failure> =>
  body["sim"] === undefined
    ? Effect.undefined
    : Effect.mapError(decodeDirective(body["sim"]), (error) =>
        Failure.status(400, { param: "sim", code: "invalid_value", message: error.message })
      )

interface Plan {
  readonly promptTokens: number
  /** Tokens of one choice. */
  readonly tokens: number
  readonly steps: number
  readonly choices: number
  readonly finish: string
  readonly tool: string | undefined
  /** The next piece's text. To be called `steps` times at most. */
  readonly next: () => string
}

const planOf = (engine: Engine, chat: ChatRequest, directive: Directive | undefined): Plan => {
  const { outputTokens, seed, tokensPerChunk } = engine.options
  const prompt = Text.promptOf(chat)
  const random = Random.make(seed, prompt.hash, 2)
  const wish: Text.Wish =
    directive?.text === undefined ? Text.wishOf(chat, () => random) : { _tag: "Text", text: directive.text }
  const fixed = wish._tag === "Prose" ? undefined : Text.pieces(wish._tag === "Text" ? wish.text : wish.arguments)
  const natural =
    fixed?.length ??
    directive?.outputTokens ??
    Math.max(1, Math.round(Random.logNormal(random, outputTokens.median, outputTokens.sigma)))
  const tokens = Math.min(natural, maxOutputTokens(chat) ?? Infinity)
  let at = 0
  const token = fixed === undefined ? Text.prose(random) : () => fixed[at] ?? ""
  const ends = wish._tag === "Prose" && tokens === natural
  return {
    promptTokens: prompt.tokens,
    tokens,
    steps: Math.ceil(tokens / tokensPerChunk),
    choices: chat.n ?? 1,
    finish: tokens < natural ? "length" : wish._tag === "ToolCall" ? "tool_calls" : "stop",
    tool: wish._tag === "ToolCall" ? wish.name : undefined,
    next: () => {
      const until = Math.min(tokens, at + tokensPerChunk)
      let text = ""
      for (; at < until; at++) text += token()
      return ends && at === tokens && !text.endsWith(".") ? `${text}.` : text
    }
  }
}

const idOf = (engine: Engine, call: Call, kind: string) =>
  `${kind}-sim${(engine.options.seed >>> 0).toString(16)}x${call.ordinal.toString(36)}`

const usageOf = (plan: Plan) => Usage.make(plan.promptTokens, plan.tokens * plan.choices)

const chunksOf = (engine: Engine, call: Call, plan: Plan, model: string, withUsage: boolean): Answer["chunks"] => {
  const { processor } = engine
  const head = {
    id: idOf(engine, call, "chatcmpl"),
    object: "chat.completion.chunk" as const,
    created: Math.floor(call.startedAt / 1000),
    model
  }
  const toolId = idOf(engine, call, "call")
  // The text of each chunk differs in its choices alone, so the rest is written once.
  const opening = JSON.stringify(head).slice(0, -1)
  const emit = (out: Array<ChunkEvent>, delta: ChatDelta, finish: string | null) => {
    const deltaText = JSON.stringify(delta)
    const finishText = finish === null ? "null" : `"${finish}"`
    for (let index = 0; index < plan.choices; index++) {
      const choices: ReadonlyArray<ChunkChoice> = [{ index, delta, finish_reason: finish }]
      const chunk: ChatChunk = { ...head, choices }
      const data = `${opening},"choices":[{"index":${index},"delta":${deltaText},"finish_reason":${finishText}}]}`
      out.push({ _tag: "Chunk", chunk, data })
    }
  }
  const first: ChatDelta =
    plan.tool === undefined
      ? { role: "assistant", content: "" }
      : {
          role: "assistant",
          content: null,
          tool_calls: [{ index: 0, id: toolId, type: "function", function: { name: plan.tool, arguments: "" } }]
        }
  const last = plan.steps + 1
  const emitAt = (out: Array<ChunkEvent>, at: number) => {
    if (at === 0) return emit(out, first, null)
    if (at < last) {
      const text = plan.next()
      const delta =
        plan.tool === undefined ? { content: text } : { tool_calls: [{ index: 0, function: { arguments: text } }] }
      return emit(out, delta, null)
    }
    emit(out, {}, plan.finish)
    if (withUsage) {
      const chunk: ChatChunk = { ...head, choices: [], usage: usageOf(plan) }
      out.push({ _tag: "Chunk", chunk, data: JSON.stringify(chunk) })
    }
  }
  let position = 0
  const due = (): ReturnType<typeof step> => Effect.suspend(step)
  const step = (): Answer["chunks"] => {
    if (call.fate.hang !== undefined) return Effect.never
    if (position > last) return Cause.done()
    const work = processor.work() + Processor.epsilonMs
    const out: Array<ChunkEvent> = []
    while (position <= last && position !== call.struckAt && call.dueAt(position) <= work) emitAt(out, position++)
    const [event, ...rest] = out
    if (event !== undefined) return Effect.succeed([event, ...rest])
    const at = call.dueAt(position)
    if (position === call.struckAt && at <= work) return Faults.strike(call.fate.mid, true)
    return Effect.andThen(processor.wait(at), due())
  }
  return due()
}

const wholeOf = (engine: Engine, call: Call, plan: Plan, model: string): Answer["whole"] => {
  const { processor } = engine
  if (call.fate.hang !== undefined) return Effect.never
  if (call.struckAt !== undefined)
    return Effect.andThen(processor.wait(call.dueAt(call.struckAt)), Faults.strike(call.fate.mid, false))
  return Effect.map(processor.wait(call.dueAt(plan.steps)), () => {
    let text = ""
    for (let step = 0; step < plan.steps; step++) text += plan.next()
    const message =
      plan.tool === undefined
        ? { role: "assistant", content: text, refusal: null }
        : {
            role: "assistant",
            content: null,
            tool_calls: [
              { id: idOf(engine, call, "call"), type: "function", function: { name: plan.tool, arguments: text } }
            ]
          }
    const completion: ChatCompletion = {
      id: idOf(engine, call, "chatcmpl"),
      object: "chat.completion",
      created: Math.floor(call.startedAt / 1000),
      model,
      choices: Array.from({ length: plan.choices }, (_, index) => ({ index, message, finish_reason: plan.finish })),
      usage: usageOf(plan)
    }
    return { _tag: "Whole" as const, completion, data: JSON.stringify(completion) }
  })
}

/** Let a chat request in as `model` (the name echoed in the answer), or refuse it. Closing the scope is the caller's leaving. */
export const begin = (
  engine: Engine,
  model: string,
  chat: ChatRequest,
  withUsage: boolean
): Effect.Effect<Answer, Failure.Failure, Scope.Scope> =>
  Effect.flatMap(directiveOf(chat), (directive) => {
    const plan = planOf(engine, chat, directive)
    const admitted = engine.admit({
      model,
      promptTokens: plan.promptTokens,
      tokens: plan.tokens,
      choices: plan.choices,
      first: engine.options.ttft,
      directive
    })
    return Effect.map(admitted, (call) => ({
      call,
      chunks: chunksOf(engine, call, plan, model, withUsage),
      whole: wholeOf(engine, call, plan, model)
    }))
  })

/**
 * Token counts by estimate, calibrated by what providers report, with a real
 * tokenizer where it must be exact.
 *
 * Calibration: each model has a ratio between 0.5 and 2, an exponentially
 * weighted mean over batches of reported / estimated. A batch is at least
 * eight answers and ten seconds: an answer tells of an estimate that was made
 * some time ago, and a correction with each answer would overshoot while many
 * are in flight.
 */
import { Clock, Effect, Layer } from "effect"
import type { ChatMessage, ChatRequest } from "../../domain/chat.ts"
import type { EmbeddingRequest } from "../../domain/embedding.ts"
import { TokenCounter } from "../../services/token-counter.ts"
import * as O200k from "./o200k.ts"
import * as TextSize from "./text-size.ts"

/** Tokens around each message (role and separators), and before the answer; OpenAI's cookbook counts 3 or 4 and 3. */
const tokensPerMessage = 4
const tokensPerAnswer = 3

/** Flat cost of an image in high detail at OpenAI's usual 1024 x 1024 pixels, and in low detail. */
const imageTokens = 765
const lowDetailImageTokens = 85

/** Flat cost of any other part that is not text (audio, files). */
const otherPartTokens = 500

const minRatio = 0.5
const maxRatio = 2
const batchSize = 8
const batchMs = 10_000

/** Weight of a new batch against all before it; the first batch counts fully. */
const batchWeight = 0.3

const isLowDetail = (image: unknown): boolean =>
  typeof image === "object" && image !== null && "detail" in image && image.detail === "low"

type Part = Exclude<ChatMessage["content"], string | null | undefined>[number]

/** Tokens of a part that is not text. */
const ofMedia = (part: Part): number =>
  part.type !== "image_url" && part.type !== "input_image" && part.type !== "image"
    ? otherPartTokens
    : isLowDetail(part["image_url"]) || isLowDetail(part)
      ? lowDetailImageTokens
      : imageTokens

/** The texts of a request, each given to `onText`; the result is the tokens of all that is not text. */
const walk = (request: ChatRequest, onText: (text: string) => void): number => {
  let sum = tokensPerAnswer
  for (const message of request.messages) {
    sum += tokensPerMessage
    const { content } = message
    if (typeof content === "string") onText(content)
    else if (content) {
      for (const part of content) {
        if (typeof part.text === "string") onText(part.text)
        else sum += ofMedia(part)
      }
    }
    if (message["tool_calls"] !== undefined) sum += TextSize.ofJson(message["tool_calls"])
  }
  return sum
}

interface Calibration {
  ratio: number
  batches: number
  since: number
  answers: number
  estimated: number
  reported: number
}

/** A counter over the current Clock. */
export const make = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  const calibrations = new Map<string, Calibration>()
  /** A request's tools are asked for more than once on its way; they are measured once. */
  const measured = new WeakMap<object, number>()

  const sizeOf = (value: unknown): number => {
    if (typeof value !== "object" || value === null) return 0
    let size = measured.get(value)
    if (size === undefined) {
      size = TextSize.ofJson(value)
      measured.set(value, size)
    }
    return size
  }

  const extras = (request: ChatRequest): number => sizeOf(request.tools) + sizeOf(request["response_format"])

  const calibrated = (model: string, raw: number): number => Math.ceil(raw * (calibrations.get(model)?.ratio ?? 1))

  const estimate = (model: string, request: ChatRequest): number => {
    let text = 0
    const rest = walk(request, (piece) => {
      text += TextSize.ofText(piece)
    })
    return calibrated(model, text + rest + extras(request))
  }

  const estimateEmbedding = (model: string, { input }: EmbeddingRequest): number => {
    if (typeof input === "string") return calibrated(model, TextSize.ofText(input))
    let text = 0
    let tokens = 0
    for (const item of input) {
      if (typeof item === "string") text += TextSize.ofText(item)
      else tokens += typeof item === "number" ? 1 : item.length
    }
    // Token ids are counted by the caller already.
    return tokens + calibrated(model, text)
  }

  const exact = Effect.fnUntraced(function* (request: ChatRequest) {
    const texts: Array<string> = []
    const rest = extras(request) + walk(request, (text) => void texts.push(text))
    const tokens = yield* O200k.count(texts)
    return tokens === undefined ? estimate(request.model, request) : Math.ceil(rest + tokens)
  })

  const learn = (model: string, estimated: number, reported: number): void => {
    if (!(estimated > 0 && reported > 0 && reported < Infinity)) return
    const now = clock.currentTimeMillisUnsafe()
    let known = calibrations.get(model)
    if (known === undefined) {
      known = { ratio: 1, batches: 0, since: now, answers: 0, estimated: 0, reported: 0 }
      calibrations.set(model, known)
    }
    known.answers++
    known.estimated += estimated
    known.reported += reported
    if (known.answers < batchSize || (known.batches > 0 && now - known.since < batchMs)) return
    const weight = known.batches === 0 ? 1 : batchWeight
    // Sums rather than a mean of ratios: long prompts matter more, and short ones are mostly overhead.
    const wanted = (known.ratio * known.reported) / known.estimated
    known.ratio = Math.min(maxRatio, Math.max(minRatio, known.ratio + weight * (wanted - known.ratio)))
    known.batches++
    known.since = now
    known.answers = 0
    known.estimated = 0
    known.reported = 0
  }

  return TokenCounter.of({
    estimate,
    estimateEmbedding,
    estimateText: (model, chars) => calibrated(model, TextSize.ofChars(Math.max(0, chars))),
    exact,
    learn
  })
})

/** {@link make} as a layer. */
export const layer: Layer.Layer<TokenCounter> = Layer.effect(TokenCounter, make)

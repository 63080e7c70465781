/**
 * Embeddings of the simulated provider by feature hashing (Weinberger et al.,
 * "Feature Hashing for Large Scale Multitask Learning", ICML 2009): each word
 * and each of its character trigrams adds or takes one from a hashed place,
 * and the vector is scaled to length 1. Texts that share words are near each
 * other, so that retrieval can be tried without a model; the seed plays no
 * part, so that vectors stored yesterday still match.
 *
 * Numbers are rounded to float32, which makes the list and the base64 form the
 * same vector.
 */
import { Effect } from "effect"
import * as Base64 from "effect/encoding/Base64"
import type { Scope } from "effect"
import type { EmbeddingRequest, EmbeddingResponse } from "../../../domain/embedding.ts"
import * as Chat from "./chat.ts"
import type { Call, Engine } from "./engine.ts"
import type { Failure } from "./failure.ts"
import * as Faults from "./faults.ts"
import * as Random from "./random.ts"
import * as Text from "./text.ts"

// A whole word says more than one of its trigrams.
const wordWeight = 2

/** The vector of a text: `dimension` float32 numbers of length 1. */
export const vector = (text: string, dimension: number): ReadonlyArray<number> => {
  const sums = new Float64Array(dimension)
  const add = (feature: string, weight: number) => {
    // Mixed once more: the low bits of FNV alone are too regular for a place and a sign.
    const hash = Math.imul(Random.hash(feature) ^ (Random.hash(feature) >>> 15), 0x2c1b3c6d) >>> 0
    const place = (hash >>> 1) % dimension
    sums[place] = (sums[place] ?? 0) + (hash & 1 ? weight : -weight)
  }
  for (const word of text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []) {
    add(word, wordWeight)
    const marked = `^${word}$`
    for (let i = 0; i + 3 <= marked.length; i++) add(marked.slice(i, i + 3), 1)
  }
  let square = 0
  for (const value of sums) square += value * value
  // A text without words still needs a direction; so does one whose features cancel out.
  if (square === 0) sums[0] = square = 1
  const length = Math.sqrt(square)
  return Array.from(sums, (value) => Math.fround(value / length))
}

const base64 = (values: ReadonlyArray<number>) => {
  const view = new DataView(new ArrayBuffer(values.length * 4))
  for (const [index, value] of values.entries()) view.setFloat32(index * 4, value, true)
  return Base64.encode(new Uint8Array(view.buffer))
}

interface Input {
  readonly text: string
  readonly tokens: number
}

const ofText = (text: string): Input => ({ text, tokens: Text.tokensOf(text.length) })
const ofIds = (ids: ReadonlyArray<number>): Input => ({ text: ids.join(" "), tokens: ids.length })

const inputsOf = (input: EmbeddingRequest["input"]): ReadonlyArray<Input> => {
  if (typeof input === "string") return [ofText(input)]
  const ids: Array<number> = []
  const inputs: Array<Input> = []
  for (const item of input) {
    if (typeof item === "number") ids.push(item)
    else inputs.push(typeof item === "string" ? ofText(item) : ofIds(item))
  }
  return ids.length > 0 ? [ofIds(ids)] : inputs
}

/** An embedding request that was let in. */
export interface Answer {
  readonly call: Call
  readonly response: Effect.Effect<EmbeddingResponse, Failure>
}

/** Let an embedding request in as `model`, or refuse it. Closing the scope is the caller's leaving. */
export const begin = (
  engine: Engine,
  model: string,
  request: EmbeddingRequest
): Effect.Effect<Answer, Failure, Scope.Scope> =>
  Effect.flatMap(Chat.directiveOf(request), (directive) => {
    const inputs = inputsOf(request.input)
    const tokens = inputs.reduce((sum, input) => sum + input.tokens, 0)
    const admitted = engine.admit({
      model,
      promptTokens: tokens,
      tokens: 0,
      choices: 0,
      first: engine.options.embedding,
      directive
    })
    return Effect.map(admitted, (call) => ({
      call,
      response:
        call.fate.hang === undefined
          ? Effect.flatMap(engine.processor.wait(call.dueAt(0)), () => {
              if (call.struckAt !== undefined) return Faults.strike(call.fate.mid, false)
              const dimension = request.dimensions ?? engine.options.embedding.dimension
              const response: EmbeddingResponse = {
                object: "list",
                model,
                data: inputs.map(({ text }, index) => {
                  const values = vector(text, dimension)
                  return {
                    object: "embedding",
                    index,
                    embedding: request.encoding_format === "base64" ? base64(values) : values
                  }
                }),
                usage: { prompt_tokens: tokens, total_tokens: tokens }
              }
              return Effect.succeed(response)
            })
          : Effect.never
    }))
  })

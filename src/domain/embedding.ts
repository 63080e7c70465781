/**
 * Embeddings in OpenAI's shape. As with chat, unknown fields are kept.
 *
 * Source of the shape: OpenAI API reference, "Embeddings" (2026-11).
 */
import { Schema } from "effect"

const rest = [Schema.Record(Schema.String, Schema.Unknown)] as const
const Tokens = Schema.Array(Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))).check(Schema.isMinLength(1))

/** Most inputs of one embedding request (OpenAI's documented limit). */
export const maxInputs = 2048

/** The body of `POST /v1/embeddings`: one text, many texts, or the same as token ids. */
export const EmbeddingRequest = Schema.StructWithRest(
  Schema.Struct({
    model: Schema.NonEmptyString,
    input: Schema.Union([
      Schema.NonEmptyString,
      Schema.Array(Schema.NonEmptyString).check(Schema.isMinLength(1), Schema.isMaxLength(maxInputs)),
      Tokens,
      Schema.Array(Tokens).check(Schema.isMinLength(1), Schema.isMaxLength(maxInputs))
    ]),
    dimensions: Schema.optional(Schema.NullOr(Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)))),
    encoding_format: Schema.optional(Schema.NullOr(Schema.Literals(["float", "base64"]))),
    user: Schema.optional(Schema.NullOr(Schema.String))
  }),
  rest
)
export type EmbeddingRequest = typeof EmbeddingRequest.Type

/** One vector: numbers, or base64 of little-endian float32 where the request asked for it. */
export const EmbeddingItem = Schema.StructWithRest(
  Schema.Struct({
    object: Schema.Literal("embedding"),
    index: Schema.Int,
    embedding: Schema.Union([Schema.Array(Schema.Finite), Schema.String])
  }),
  rest
)

/** The answer to an embedding request, in the order of its inputs. */
export const EmbeddingResponse = Schema.StructWithRest(
  Schema.Struct({
    object: Schema.Literal("list"),
    model: Schema.String,
    data: Schema.Array(EmbeddingItem),
    usage: Schema.StructWithRest(Schema.Struct({ prompt_tokens: Schema.Int, total_tokens: Schema.Int }), rest)
  }),
  rest
)
export type EmbeddingResponse = typeof EmbeddingResponse.Type

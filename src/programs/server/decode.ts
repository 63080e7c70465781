/**
 * From body text to a checked request. The parsed JSON itself is the result,
 * so that no field is lost; the schema only judges it. The judgement has a fast
 * path (yes or no) and says why only where the answer is no.
 */
import { Result, Schema, SchemaIssue } from "effect"
import { ChatRequest } from "../../domain/chat.ts"
import { EmbeddingRequest } from "../../domain/embedding.ts"
import { RequestError } from "../../domain/errors.ts"

const formatIssues = SchemaIssue.makeFormatterStandardSchemaV1()

/** `messages[0].role` from a path of keys; `null` for the body itself. */
const paramOf = (path: ReadonlyArray<PropertyKey | { readonly key: PropertyKey }>): string | null => {
  let param = ""
  for (const segment of path) {
    const key = typeof segment === "object" ? segment.key : segment
    param += typeof key === "number" ? `[${key}]` : param === "" ? String(key) : `.${String(key)}`
  }
  return param === "" ? null : param
}

const parse = (text: string): Result.Result<unknown, RequestError> =>
  Result.mapError(
    Result.try({
      try: (): unknown => JSON.parse(text),
      catch: (cause) => (cause instanceof Error ? cause.message : String(cause))
    }),
    (detail) =>
      new RequestError({
        reason: { _tag: "InvalidJson", detail: text === "" ? "the body is empty" : withoutBody(detail) }
      })
  )

/** V8 quotes the text around the error; a prompt must not come back in a message. */
const withoutBody = (detail: string): string =>
  detail.replace(/,? ?"?[^"]*"? is not valid JSON$/u, "").replace(/, .*$/su, "")

const decoder = <S extends Schema.ConstraintDecoder<unknown>>(schema: S) => {
  const is = Schema.is(schema)
  const explain = Schema.decodeUnknownResult(schema, { errors: "first" })
  return (body: Result.Result<string, RequestError>): Result.Result<S["Type"], RequestError> => {
    if (Result.isFailure(body)) return Result.fail(body.failure)
    const json = parse(body.success)
    if (Result.isFailure(json)) return Result.fail(json.failure)
    const value = json.success
    if (is(value)) return Result.succeed(value)
    const verdict = explain(value)
    const issue = Result.isFailure(verdict) ? formatIssues(verdict.failure.issue).issues[0] : undefined
    return Result.fail(
      new RequestError({
        reason: { _tag: "InvalidField", param: paramOf(issue?.path ?? []), detail: issue?.message ?? "is not valid" }
      })
    )
  }
}

/** Check the body of a chat request. */
export const chatRequest = decoder(ChatRequest)

/** Check the body of an embedding request. */
export const embeddingRequest = decoder(EmbeddingRequest)

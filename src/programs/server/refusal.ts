/**
 * What a client gets when it gets no answer: status, headers and OpenAI's
 * error body, or an in-band error event once a stream has begun. Every refusal
 * says whether trying again makes sense, and when.
 *
 * Sources: openai-node's retry rules (2026-11): `x-should-retry` overrides
 * everything, then `retry-after-ms`, then `retry-after`, both only up to 60 s.
 */
import { Context, Effect, Random } from "effect"
import { errorBody, isRefusal, keyOf, retryAfterMs, rowOf } from "../../domain/error-table.ts"
import type { Help } from "../../domain/error-table.ts"
import type { BallastError } from "../../domain/errors.ts"
import { calls } from "../../services/attempts.ts"
import type { HeaderList } from "../../services/exchange.ts"
import type { RequestRecord } from "../../services/request-record.ts"
import * as Headers from "./headers.ts"

/** Status, headers and body of a refusal. */
export interface Refusal {
  readonly status: number
  readonly headers: HeaderList
  readonly body: string
}

/** Longest pause that stock clients obey; beyond it they fall back to fast retries, so we tell them not to try. */
const longestPauseMs = 60_000

/** A 503 that does not know better asks for a pause between these, in ms. */
const overloadedPauseMs = [1_000, 5_000] as const

/** Up to this much of the pause is added as jitter, so that refused clients do not come back as one. */
const jitter = 0.1

/** The pause to ask for, in ms, jitter on top; `undefined` where there is nothing to say. */
const pauseOf = (error: BallastError, status: number, random: number): number | undefined => {
  const known = retryAfterMs(error)
  if (known !== undefined) return known * (1 + random * jitter)
  const [least, most] = overloadedPauseMs
  return status === 503 ? least + random * (most - least) : undefined
}

/** The refusal for an error. `record` may be of a request that got no further than its headers; `help` is the operator's. */
export const make = (error: BallastError, record: RequestRecord, nowMs: number, help: Help): Effect.Effect<Refusal> =>
  Effect.withFiber((fiber) => {
    const row = rowOf(error)
    const pause = pauseOf(error, row.status, Context.get(fiber.context, Random.Random).nextDoubleUnsafe())
    // What we have retried ourselves, the client need not multiply.
    const retry = row.clientRetry && calls(record.attempts) <= 1 && (pause ?? 0) <= longestPauseMs
    const headers = Headers.common(record, nowMs)
    headers.push("content-type", "application/json", "x-should-retry", String(retry))
    if (isRefusal(row.status)) headers.push("x-llm-answer", "refused", "x-llm-degraded-reason", keyOf(error))
    if (row.clientRetry && pause !== undefined) {
      headers.push("retry-after-ms", String(Math.ceil(pause)), "retry-after", String(Math.ceil(pause / 1000)))
    }
    if (row.status === 401) headers.push("www-authenticate", 'Bearer realm="ballast"')
    if (error.reason._tag === "MethodNotAllowed") headers.push("allow", error.reason.allow)
    return Effect.succeed({ status: row.status, headers, body: JSON.stringify(errorBody(error, record.id, help)) })
  })

/** The in-band event for an error after the stream has begun. No `[DONE]` follows it. */
export const event = (error: BallastError, requestId: string, help: Help): string =>
  `data: ${JSON.stringify(errorBody(error, requestId, help))}\n\n`

/** The body for a bug of ours: says nothing but the id under which the log has it. */
export const defectBody = (requestId: string): string =>
  JSON.stringify({
    error: {
      message: `Internal error. Report request id ${requestId}.`,
      type: "server_error",
      param: null,
      code: "internal_error",
      request_id: requestId
    }
  })

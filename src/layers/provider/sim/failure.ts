/**
 * How a simulated call can fail, before it is dressed as a `ProviderError` (in
 * process) or as an HTTP answer or a broken socket (over the wire).
 */
import { identity } from "effect/Function"
import { ProviderError } from "../../../domain/errors.ts"
import type { ProviderReason } from "../../../domain/errors.ts"
import * as Status from "../status.ts"

/** A refusal with a status, or an error object inside a stream. */
export interface StatusFailure {
  readonly _tag: "Status" | "StreamError"
  readonly status: number
  readonly type: string
  readonly code: string | null
  readonly param: string | null
  readonly message: string
  readonly retryAfterMs: number | undefined
}

/** Everything that can go wrong. A hang or a stall is no failure: it is an answer that never comes. */
export type Failure =
  | StatusFailure
  | { readonly _tag: "Refused" }
  | { readonly _tag: "Cut" }
  | { readonly _tag: "BrokenFrame" }

const usual: Readonly<Record<number, readonly [type: string, code: string | null, message: string]>> = {
  400: ["invalid_request_error", null, "The request is not valid."],
  401: ["invalid_request_error", "invalid_api_key", "Incorrect API key provided."],
  403: ["invalid_request_error", "permission_denied", "You have no access to this model."],
  404: ["invalid_request_error", "model_not_found", "The model does not exist or you have no access to it."],
  413: ["invalid_request_error", "request_too_large", "The request is too large."],
  429: ["rate_limit_error", "rate_limit_exceeded", "Rate limit reached."],
  500: ["server_error", null, "The server had an error while processing your request."],
  503: ["service_unavailable_error", "server_is_overloaded", "The server is overloaded. Try again later."],
  529: ["overloaded_error", "overloaded", "Overloaded."]
}

/** A failure with a status, worded as OpenAI words it unless told otherwise. */
export const status = (
  code: number,
  rest: {
    readonly tag?: StatusFailure["_tag"]
    readonly code?: string | undefined
    readonly param?: string | undefined
    readonly message?: string | undefined
    readonly retryAfterMs?: number | undefined
  } = {}
): StatusFailure => {
  const [type, usualCode, message] = usual[code] ??
    (code < 500 ? usual[400] : usual[500]) ?? ["server_error", null, "Error."]
  return {
    _tag: rest.tag ?? "Status",
    status: code,
    type: rest.code === "insufficient_quota" ? "insufficient_quota" : type,
    code: rest.code ?? usualCode,
    param: rest.param ?? null,
    message: rest.message ?? message,
    retryAfterMs: rest.retryAfterMs
  }
}

/** OpenAI's error body. */
export const body = (failure: StatusFailure) => ({
  error: { message: failure.message, type: failure.type, param: failure.param, code: failure.code }
})

// The same reading of a status and of an in-band error as for real upstreams.
const statusReason = (failure: StatusFailure): ProviderReason => {
  const fault = {
    message: failure.message,
    type: failure.type,
    code: failure.code ?? undefined,
    param: failure.param ?? undefined
  }
  return failure._tag === "StreamError"
    ? Status.inBandReasonOf(fault, identity)
    : Status.reasonOf(failure.status, fault, { retryAfterMs: failure.retryAfterMs, shouldRetry: undefined }, identity)
}

const reasonOf = (failure: Failure, streamed: boolean): ProviderReason => {
  switch (failure._tag) {
    case "Refused":
      return { _tag: "Unreachable", detail: "connection refused" }
    case "Cut":
      return { _tag: "Truncated", detail: "the connection was closed" }
    case "BrokenFrame":
      return streamed
        ? { _tag: "BrokenFrame", detail: "a frame is not valid JSON" }
        : { _tag: "BadResponse", detail: "the body is not valid JSON" }
    default:
      return statusReason(failure)
  }
}

/** The error that an HTTP adapter would give for the same failure on the wire. */
export const toProviderError = (provider: string, failure: Failure, streamed: boolean): ProviderError =>
  new ProviderError({ provider, reason: reasonOf(failure, streamed) })

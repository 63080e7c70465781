/**
 * Response headers: what stock clients read (`x-request-id`,
 * `openai-processing-ms`, `x-ratelimit-*`), the IETF `RateLimit` fields, and
 * ours (`x-llm-*`), among them a warning for each cap of the caller's budget
 * that is past its soft threshold.
 *
 * Sources: OpenAI API reference (headers, Go-style durations);
 * draft-ietf-httpapi-ratelimit-headers-11.
 */
import type { Degraded } from "../../domain/brownout.ts"
import { toDollars } from "../../domain/money.ts"
import { calls } from "../../services/attempts.ts"
import type { HeaderList } from "../../services/exchange.ts"
import type { LimitState } from "../../services/rate-limiter.ts"
import type { RequestRecord } from "../../services/request-record.ts"

/** Headers of every response to a request: its id, how long we took, where its limits stand. */
export const common = (record: RequestRecord, nowMs: number): HeaderList => {
  const headers: HeaderList = ["x-request-id", record.id, "openai-processing-ms", String(nowMs - record.startedAt)]
  if (record.limits.length > 0) rateLimits(headers, record.limits)
  for (const { limit, scope, unit, used, window } of record.budgetWarnings) {
    headers.push("x-llm-budget-warning", `${scope};window=${window};unit=${unit};used=${used};limit=${limit}`)
  }
  if (record.trace?.incoming === true) {
    headers.push(
      "traceresponse",
      `00-${record.trace.traceId}-${record.trace.spanId}-${record.trace.sampled ? "01" : "00"}`
    )
  }
  return headers
}

/**
 * Headers of an answer: how full it is, which model gave it, after how many
 * calls; for a whole answer its price in dollars, for an earlier one its age in
 * seconds (`age`, RFC 9111).
 */
export const answer = (record: RequestRecord, nowMs: number, contentType: string, degraded?: Degraded): HeaderList => {
  const headers = common(record, nowMs)
  headers.push("content-type", contentType, "x-llm-answer", record.rung)
  if (record.degradedReason !== undefined) headers.push("x-llm-degraded-reason", record.degradedReason)
  if (degraded?.ageMs !== undefined) headers.push("age", String(Math.floor(degraded.ageMs / 1000)))
  if (record.candidate !== undefined) {
    headers.push("x-llm-provider", record.candidate.provider, "x-llm-model", record.candidate.model)
    headers.push("x-llm-attempts", String(calls(record.attempts)))
  }
  if (record.outcome === "ok") headers.push("x-llm-cost-usd", toDollars(record.cost))
  return headers
}

/** Headers of an SSE stream: nobody on the way may store or collect it. */
export const stream = (record: RequestRecord, nowMs: number, degraded?: Degraded): HeaderList => {
  const headers = answer(record, nowMs, "text/event-stream; charset=utf-8", degraded)
  headers.push("cache-control", "no-cache, no-transform", "x-accel-buffering", "no")
  return headers
}

/**
 * A duration as Go prints it, which is how OpenAI's reset headers look: `12ms`,
 * `1.5s`, `6m0s`, `1h0m0s`. Rounded up, to whole ms below a second and to
 * hundredths of a second above.
 */
export const goDuration = (ms: number): string => {
  if (ms <= 0) return "0s"
  if (ms <= 999) return `${Math.ceil(ms)}ms`
  const hundredths = Math.ceil(ms / 10)
  const minutes = Math.floor(hundredths / 6_000)
  const seconds = `${(hundredths - minutes * 6_000) / 100}s`
  if (minutes === 0) return seconds
  return minutes < 60 ? `${minutes}m${seconds}` : `${Math.floor(minutes / 60)}h${minutes % 60}m${seconds}`
}

const rateLimits = (headers: HeaderList, states: ReadonlyArray<LimitState>): void => {
  let requests: LimitState | undefined
  let tokens: LimitState | undefined
  let policy = ""
  let limit = ""
  for (const state of states) {
    if (state.unit === "requests") {
      if (requests === undefined || state.remaining < requests.remaining) requests = state
    } else if (tokens === undefined || state.remaining < tokens.remaining) {
      tokens = state
    }
    // The global limit is everybody's: how much of it is left is nobody's business.
    if (state.dimension === "global") continue
    const name = state.unit === "requests" ? state.dimension : `${state.dimension}-tokens`
    const separator = policy === "" ? "" : ", "
    policy += `${separator}"${name}";q=${state.limit};w=${state.windowMs / 1000}`
    limit += `${separator}"${name}";r=${Math.max(0, Math.floor(state.remaining))};t=${Math.ceil(state.resetMs / 1000)}`
  }
  if (requests !== undefined) tightest(headers, "requests", requests)
  if (tokens !== undefined) tightest(headers, "tokens", tokens)
  if (policy !== "") headers.push("ratelimit-policy", policy, "ratelimit", limit)
}

const tightest = (headers: HeaderList, unit: "requests" | "tokens", state: LimitState): void => {
  headers.push(
    `x-ratelimit-limit-${unit}`,
    String(state.limit),
    `x-ratelimit-remaining-${unit}`,
    String(Math.max(0, Math.floor(state.remaining))),
    `x-ratelimit-reset-${unit}`,
    goDuration(state.resetMs)
  )
}

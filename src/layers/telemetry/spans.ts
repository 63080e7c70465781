/**
 * Span trees made from request records after the fact: the request, its
 * admission, each try, the reading of the answer. An unsampled request pays
 * for none of them.
 *
 * Names and attributes follow the OpenTelemetry GenAI conventions (2026-11,
 * development status) where they have one, else the namespace `llm.`. No
 * prompt or answer text, no error message: only tags.
 */
import { Context, Exit, Option, Tracer } from "effect"
import type { Attempt } from "../../services/attempts.ts"
import type { RequestRecord } from "../../services/request-record.ts"

const nanos = (epochMs: number): bigint => BigInt(Math.round(epochMs * 1000)) * 1000n

const ended = (outcome: string): Exit.Exit<void, { readonly name: string }> =>
  outcome === "ok" ? Exit.void : Exit.fail({ name: outcome })

/** Begin the request's own span; its parent is the caller's span, where the caller sent one. */
export const begin = (tracer: Tracer.Tracer, record: RequestRecord): Tracer.Span => {
  const incoming = record.trace?.incoming === true ? record.trace : undefined
  return tracer.span({
    name: `${record.operation} ${record.model ?? ""}`.trimEnd(),
    parent: incoming
      ? Option.some(
          Tracer.externalSpan({ traceId: incoming.traceId, spanId: incoming.spanId, sampled: incoming.sampled })
        )
      : Option.none(),
    annotations: Context.empty(),
    links: [],
    startTime: nanos(record.startedAt),
    kind: "server",
    root: incoming === undefined,
    sampled: true
  })
}

/** End the request's span with everything the record knows, and hang its stages below it. */
export const end = (tracer: Tracer.Tracer, record: RequestRecord, span: Tracer.Span): void => {
  const endedAt = record.endedAt ?? record.startedAt
  const child = (
    name: string,
    from: number,
    to: number,
    outcome: string,
    kind: Tracer.SpanKind = "internal",
    attributes: Record<string, unknown> = {}
  ) => {
    const stage = tracer.span({
      name,
      parent: Option.some(span),
      annotations: Context.empty(),
      links: [],
      startTime: nanos(from),
      kind,
      root: false,
      sampled: true
    })
    for (const [key, value] of Object.entries(attributes)) stage.attribute(key, value)
    if (outcome !== "ok") stage.attribute("error.type", outcome)
    stage.end(nanos(to), ended(outcome))
    return stage
  }
  const { admittedAt, caller, candidate, openedAt, outcome, usage } = record
  child("admission", record.startedAt, admittedAt ?? endedAt, admittedAt === undefined ? outcome : "ok")
  for (const attempt of record.attempts) attemptSpan(child, attempt, endedAt)
  if (openedAt !== undefined && record.stream) child("stream", openedAt, endedAt, outcome)

  span.attribute("gen_ai.operation.name", record.operation)
  span.attribute("llm.request.id", record.id)
  span.attribute("llm.tenant.id", caller.tenant)
  span.attribute("llm.tenant.tier", caller.plan)
  span.attribute("llm.feature", caller.feature)
  span.attribute("llm.attempts", record.attempts.length)
  span.attribute("llm.prompt.tokens_estimated", record.estimatedInput)
  span.attribute("gen_ai.request.stream", record.stream)
  span.attribute("llm.brownout.rung", record.rung)
  if (record.degradedReason !== undefined) span.attribute("llm.brownout.reason", record.degradedReason)
  if (record.model !== undefined) span.attribute("gen_ai.request.model", record.model)
  if (candidate !== undefined) {
    span.attribute("gen_ai.provider.name", candidate.provider)
    span.attribute("gen_ai.response.model", candidate.model)
  }
  if (usage !== undefined) {
    span.attribute("gen_ai.usage.input_tokens", usage.prompt_tokens)
    span.attribute("gen_ai.usage.output_tokens", usage.completion_tokens)
    span.attribute("llm.cost.usd", record.cost / 1_000_000)
  }
  if (openedAt !== undefined) {
    span.attribute("gen_ai.response.time_to_first_chunk", (openedAt - record.startedAt) / 1000)
  }
  if (outcome !== "ok") span.attribute("error.type", outcome)
  span.end(nanos(endedAt), ended(outcome))
}

const attemptSpan = (
  child: (
    name: string,
    from: number,
    to: number,
    outcome: string,
    kind: Tracer.SpanKind,
    attributes: Record<string, unknown>
  ) => Tracer.Span,
  attempt: Attempt,
  requestEndedAt: number
): void => {
  const { candidate } = attempt
  child(
    `attempt ${candidate.provider}/${candidate.model}`,
    attempt.startedAt,
    attempt.endedAt ?? requestEndedAt,
    attempt.outcome,
    attempt.called ? "client" : "internal",
    {
      "gen_ai.provider.name": candidate.provider,
      "gen_ai.request.model": candidate.model,
      "http.request.resend_count": attempt.retry,
      ...(attempt.hedge ? { "llm.attempt.hedge": true } : {})
    }
  )
}

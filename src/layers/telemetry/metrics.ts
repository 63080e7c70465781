/**
 * Metrics from request records, in Effect's own registry: whatever exports that
 * registry (the `/metrics` route, OTLP) exports these too.
 *
 * Label values come from closed sets: model aliases of the catalog, configured
 * providers, error keys. Tenants only on tokens and cost, and only the first
 * `maxTenants` of them; the rest count as `__other__`.
 */
import { Metric } from "effect"
import type { Context } from "effect"
import { rowOfKey } from "../../domain/error-table.ts"
import type { Outcome } from "../../domain/outcome.ts"
import type { Attempt } from "../../services/attempts.ts"
import type { RequestRecord } from "../../services/request-record.ts"

/** Request durations, in seconds; contains every usual objective exactly. */
const durationBuckets = [0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 2.5, 5, 8, 10, 20, 30, 60, 120]

/** Time to first token, in seconds (OpenTelemetry GenAI conventions, `gen_ai.server.time_to_first_token`, extended). */
const firstTokenBuckets = [0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 30]

const maxTenants = 200

/** Records what happened. Each method is one synchronous step and cheap enough for every request. */
export interface Recorder {
  readonly begin: () => void
  readonly end: (record: RequestRecord) => void
}

type Labels = Readonly<Record<string, string>>
type Update = (value: number) => void

/** A family of series whose label sets are built once and kept. */
const family = (registry: Context.Context<never>, make: (labels: Labels) => Metric.Metric<number, unknown>) => {
  const known = new Map<string, Update>()
  return (key: string, labels: () => Labels): Update => {
    let update = known.get(key)
    if (update === undefined) {
      const metric = make(labels())
      update = (value) => metric.updateUnsafe(value, registry)
      known.set(key, update)
    }
    return update
  }
}

const counters = (registry: Context.Context<never>, name: string, description: string) =>
  family(registry, (attributes) => Metric.counter(name, { description, attributes, incremental: true }))

const histograms = (
  registry: Context.Context<never>,
  name: string,
  description: string,
  boundaries: ReadonlyArray<number>
) => family(registry, (attributes) => Metric.histogram(name, { description, attributes, boundaries }))

/** The HTTP status that an outcome is to a client. */
const statusOf = (outcome: Outcome): string =>
  outcome === "ok"
    ? "200"
    : outcome === "cancelled"
      ? "499"
      : outcome === "pending" || outcome === "defect"
        ? "500"
        : String(rowOfKey(outcome).status)

/** A recorder that writes to the registry of `context`. */
export const make = (context: Context.Context<never>): Recorder => {
  const requests = counters(context, "llm_requests_total", "Requests by model, operation, HTTP status and outcome")
  const attempts = counters(
    context,
    "llm_attempts_total",
    "Tries by provider, model and outcome; a refusal on the way to the provider is one too"
  )
  const retries = counters(context, "llm_retries_total", "Tries after the first at the same provider")
  const fallbacks = counters(context, "llm_fallbacks_total", "Moves from one provider to the next")
  const refusals = counters(context, "llm_refused_total", "Requests refused before any call, by reason")
  const tokensIn = counters(context, "llm_tokens_in_total", "Input tokens by tenant and model")
  const tokensOut = counters(context, "llm_tokens_out_total", "Output tokens by tenant and model")
  const cost = counters(context, "llm_cost_usd_total", "Cost in US dollars by tenant and model")
  const duration = histograms(
    context,
    "llm_request_duration_seconds",
    "From the request's head to its end",
    durationBuckets
  )
  const firstToken = histograms(
    context,
    "llm_time_to_first_token_seconds",
    "From the request's head to its first token",
    firstTokenBuckets
  )
  const inFlight = Metric.gauge("llm_requests_in_flight", { description: "Requests between their head and their end" })
  const tenants = new Set<string>()

  const tenantLabel = (tenant: string): string => {
    if (tenants.has(tenant)) return tenant
    if (tenants.size >= maxTenants) return "__other__"
    tenants.add(tenant)
    return tenant
  }

  const attemptsOf = (log: ReadonlyArray<Attempt>): void => {
    for (let i = 0; i < log.length; i++) {
      const { candidate, outcome, retry } = log[i]!
      const { model, provider } = candidate
      attempts(`${provider}|${model}|${outcome}`, () => ({ provider, model, outcome }))(1)
      if (retry > 0) retries(provider, () => ({ provider }))(1)
      const before = log[i - 1]?.candidate.provider
      if (before !== undefined && retry === 0) {
        fallbacks(`${before}|${provider}`, () => ({ from: before, to: provider }))(1)
      }
    }
  }

  return {
    begin: () => inFlight.modifyUnsafe(1, context),
    end: (record) => {
      inFlight.modifyUnsafe(-1, context)
      const { caller, operation, outcome } = record
      const model = record.model ?? "__unknown__"
      const status = statusOf(outcome)
      requests(`${model}|${operation}|${outcome}`, () => ({ model, operation, status, outcome }))(1)
      const endedAt = record.endedAt ?? record.startedAt
      duration(`${model}|${status}`, () => ({ model, status }))((endedAt - record.startedAt) / 1000)
      if (record.openedAt !== undefined) {
        firstToken(model, () => ({ model }))((record.openedAt - record.startedAt) / 1000)
      }
      attemptsOf(record.attempts)
      if (record.attempts.length === 0 && outcome !== "ok") refusals(outcome, () => ({ reason: outcome }))(1)
      if (record.usage !== undefined) {
        const tenant = tenantLabel(caller.tenant)
        const key = `${tenant}|${model}`
        const labels = () => ({ tenant, model })
        tokensIn(key, labels)(record.usage.prompt_tokens)
        tokensOut(key, labels)(record.usage.completion_tokens)
        cost(key, labels)(record.cost / 1_000_000)
      }
    }
  }
}

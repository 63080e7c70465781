/**
 * Metrics from request records, in Effect's own registry: whatever exports that
 * registry (the `/metrics` route, OTLP) exports these too.
 *
 * Label values come from closed sets: model aliases of the catalog, configured
 * candidates, error keys. Tenants only on tokens and cost, and only the first
 * `maxTenants` of them; the rest count as `__other__`.
 */
import type { Context } from "effect"
import type { DegradedReason, Rung } from "../../domain/brownout.ts"
import type { Candidate } from "../../domain/candidate.ts"
import { rowOfKey } from "../../domain/error-table.ts"
import type { Outcome } from "../../domain/outcome.ts"
import type { Attempt } from "../../services/attempts.ts"
import type { RequestRecord } from "../../services/request-record.ts"
import * as Series from "./series.ts"

/** Request durations, in seconds; contains every usual objective exactly. */
const durationBounds = [0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 2.5, 5, 8, 10, 20, 30, 60, 120]

/** Time to first token, in seconds (OpenTelemetry GenAI conventions, `gen_ai.server.time_to_first_token`, extended). */
const firstTokenBounds = [0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 30]

const maxTenants = 200

const answersName = "llm_answers_total"
const answersHelp = "Answers by the model asked for, rung of the brownout ladder, and reason where they are not full"

/** Records what happened. Each method is one synchronous step and cheap enough for every request. */
export interface Recorder {
  readonly begin: () => void
  readonly end: (record: RequestRecord) => void
}

/** The HTTP status that an outcome is to a client. */
const statusOf = (outcome: Outcome): string => {
  switch (outcome) {
    case "ok":
      return "200"
    case "cancelled":
      return "499"
    case "pending":
    case "defect":
      return "500"
    default:
      return String(rowOfKey(outcome).status)
  }
}

/** A recorder that writes to the registry of `context`. */
export const make = (context: Context.Context<never>): Recorder => {
  const counter = (name: string, description: string, labels: Series.Labels) =>
    Series.counter(context, name, description, labels)
  const { once } = Series

  const durations = once((model: string) =>
    once((status: string) =>
      Series.histogram(context, "llm_request_duration_seconds", "From the request's head to its end", durationBounds, {
        model,
        status
      })
    )
  )
  const requests = (model: string, operation: string, outcome: Outcome) => ({
    total: counter("llm_requests_total", "Requests by model, operation, HTTP status and outcome", {
      model,
      operation,
      status: statusOf(outcome),
      outcome
    }),
    duration: durations(model)(statusOf(outcome))
  })
  const modelOf = once((model: string) => ({
    firstToken: Series.histogram(
      context,
      "llm_time_to_first_token_seconds",
      "From the request's head to its first token",
      firstTokenBounds,
      { model }
    ),
    full: counter(answersName, answersHelp, { model, rung: "full", reason: "none" }),
    chat: once((outcome: Outcome) => requests(model, "chat", outcome)),
    embeddings: once((outcome: Outcome) => requests(model, "embeddings", outcome)),
    tenant: once((tenant: string) => ({
      tokensIn: counter("llm_tokens_in_total", "Input tokens by tenant and model", { tenant, model }),
      tokensOut: counter("llm_tokens_out_total", "Output tokens by tenant and model", { tenant, model }),
      cost: counter("llm_cost_usd_total", "Cost in US dollars by tenant and model", { tenant, model })
    }))
  }))
  // By identity: candidates come from the configuration and are the same objects each time.
  const candidateOf = Series.onceFor(({ model, provider }: Candidate) => ({
    attempts: attemptsOf(`${provider}\n${model}`),
    retries: retriesOf(provider)
  }))
  const attemptsOf = once((key: string) => {
    const [provider = "", model = ""] = key.split("\n")
    return once((outcome: Outcome) =>
      counter(
        "llm_attempts_total",
        "Tries by provider, model and outcome; a refusal on the way to the provider is one too",
        {
          provider,
          model,
          outcome
        }
      )
    )
  })
  const retriesOf = once((provider: string) =>
    counter("llm_retries_total", "Tries after the first at the same provider", { provider })
  )
  const fallbacks = once((from: string) =>
    once((to: string) => counter("llm_fallbacks_total", "Moves from one provider to the next", { from, to }))
  )
  const hedges = once((provider: string) =>
    once((outcome: "won" | "lost") =>
      counter("llm_hedges_total", "Second calls for a late first token, by whether theirs was the answer", {
        provider,
        outcome
      })
    )
  )
  const lesser = once((model: string) =>
    once((rung: Rung) => once((reason: DegradedReason) => counter(answersName, answersHelp, { model, rung, reason })))
  )
  const refusals = once((reason: Outcome) =>
    counter("llm_refused_total", "Requests refused before any call, by reason", { reason })
  )
  const tenants = new Set<string>()
  let inFlight = 0
  Series.gauge(context, "llm_requests_in_flight", "Requests between their head and their end", {}, () => inFlight)

  const tenantLabel = (tenant: string): string => {
    if (tenants.has(tenant)) return tenant
    if (tenants.size >= maxTenants) return "__other__"
    tenants.add(tenant)
    return tenant
  }

  const countAttempts = (log: ReadonlyArray<Attempt>): void => {
    let before: string | undefined
    for (let i = 0; i < log.length; i++) {
      const { candidate, hedge, openedAt, outcome, retry } = log[i]!
      const cells = candidateOf(candidate)
      cells.attempts(outcome).count++
      if (hedge) {
        hedges(candidate.provider)(openedAt === undefined ? "lost" : "won").count++
        continue
      }
      if (retry > 0) cells.retries.count++
      if (before !== undefined && retry === 0) fallbacks(before)(candidate.provider).count++
      before = candidate.provider
    }
  }

  return {
    begin: () => {
      inFlight++
    },
    end: (record) => {
      inFlight--
      const { attempts, caller, operation, outcome, startedAt, usage } = record
      const model = modelOf(record.model ?? "__unknown__")
      const { duration, total } = operation === "chat" ? model.chat(outcome) : model.embeddings(outcome)
      total.count++
      duration.observe(((record.endedAt ?? startedAt) - startedAt) / 1000)
      if (record.openedAt !== undefined) model.firstToken.observe((record.openedAt - startedAt) / 1000)
      countAttempts(attempts)
      if (record.degradedReason !== undefined) {
        // Of a request that was cancelled or broke, nobody can say what its answer was.
        if (outcome === "ok" || record.rung === "refused") {
          lesser(record.model ?? "__unknown__")(record.rung)(record.degradedReason).count++
        }
      } else if (outcome === "ok") model.full.count++
      if (attempts.length === 0 && outcome !== "ok") refusals(outcome).count++
      if (usage !== undefined) {
        const billed = record.answeredBy === undefined ? model : modelOf(record.answeredBy)
        const spent = billed.tenant(tenantLabel(caller.tenant))
        spent.tokensIn.count += usage.prompt_tokens
        spent.tokensOut.count += usage.completion_tokens
        spent.cost.count += record.cost / 1_000_000
      }
    }
  }
}

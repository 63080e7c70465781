import { assert, describe, it } from "@effect/vitest"
import { Exit, Option } from "effect"
import type { Tracer } from "effect"
import * as Usage from "../../../../src/domain/usage.ts"
import * as Spans from "../../../../src/layers/telemetry/spans.ts"
import type { RequestRecord, TraceContext } from "../../../../src/services/request-record.ts"
import { attempt, collecting, record } from "../../../support/telemetry.ts"

const traced = (given: RequestRecord) => {
  const { spans, tracer } = collecting()
  Spans.end(tracer, given, Spans.begin(tracer, given))
  return spans
}

/** When a span was, in ms, and how it ended. */
const seen = (span: Tracer.NativeSpan) => {
  const { status } = span
  if (status._tag !== "Ended") return assert.fail(`${span.name} is still open`)
  return {
    name: span.name,
    kind: span.kind,
    from: Number(status.startTime / 1_000_000n),
    to: Number(status.endTime / 1_000_000n),
    ok: Exit.isSuccess(status.exit)
  }
}

const attributes = (span: Tracer.NativeSpan | undefined) => Object.fromEntries(span?.attributes ?? [])

const incoming: TraceContext = {
  traceId: "0af7651916cd43dd8448eb211c80319c",
  spanId: "b7ad6b7169203331",
  sampled: true,
  incoming: true
}

describe("spans from records", () => {
  it("a span for the request, its admission, each try and the reading of a stream", () => {
    const spans = traced(
      record({
        stream: true,
        attempts: [
          attempt({ startedAt: 1_010, endedAt: 1_050, outcome: "ProviderError.Overloaded" }),
          attempt({
            candidate: { provider: "two", model: "m2" },
            called: false,
            startedAt: 1_050,
            endedAt: 1_050,
            outcome: "CircuitBreakerError.Open"
          }),
          attempt({ retry: 1, startedAt: 1_060, openedAt: 1_150, endedAt: 1_400 })
        ]
      })
    )
    assert.deepStrictEqual(spans.map(seen), [
      { name: "chat duo", kind: "server", from: 1_000, to: 1_400, ok: true },
      { name: "admission", kind: "internal", from: 1_000, to: 1_010, ok: true },
      { name: "attempt one/m1", kind: "client", from: 1_010, to: 1_050, ok: false },
      { name: "attempt two/m2", kind: "internal", from: 1_050, to: 1_050, ok: false },
      { name: "attempt one/m1", kind: "client", from: 1_060, to: 1_400, ok: true },
      { name: "stream", kind: "internal", from: 1_150, to: 1_400, ok: true }
    ])
    const [root, ...stages] = spans
    for (const stage of stages) {
      assert.strictEqual(Option.getOrUndefined(stage.parent)?.spanId, root?.spanId)
      assert.strictEqual(stage.traceId, root?.traceId)
    }
  })

  it("the request's span says what the record knows", () => {
    const [root] = traced(record({ usage: Usage.make(100, 20), cost: 140, estimatedInput: 90, stream: true }))
    assert.deepStrictEqual(attributes(root), {
      "gen_ai.operation.name": "chat",
      "gen_ai.request.model": "duo",
      "gen_ai.request.stream": true,
      "gen_ai.provider.name": "one",
      "gen_ai.response.model": "m1",
      "gen_ai.response.time_to_first_chunk": 0.15,
      "gen_ai.usage.input_tokens": 100,
      "gen_ai.usage.output_tokens": 20,
      "llm.attempts": 1,
      "llm.brownout.rung": "full",
      "llm.cost.usd": 0.00014,
      "llm.feature": "default",
      "llm.prompt.tokens_estimated": 90,
      "llm.request.id": "req-1",
      "llm.tenant.id": "acme",
      "llm.tenant.tier": "standard"
    })
  })

  it("an answer that is not full says from which rung it is, and why", () => {
    const [root] = traced(record({ rung: "smaller-model", degradedReason: "CircuitBreakerError.Open" }))
    assert.deepInclude(attributes(root), {
      "llm.brownout.rung": "smaller-model",
      "llm.brownout.reason": "CircuitBreakerError.Open"
    })
  })

  it("a try's span names its provider, its model and how often it was tried", () => {
    const spans = traced(record({ attempts: [attempt({ retry: 2, outcome: "ProviderError.ServerError" })] }))
    assert.deepStrictEqual(attributes(spans.find(({ name }) => name === "attempt one/m1")), {
      "error.type": "ProviderError.ServerError",
      "gen_ai.provider.name": "one",
      "gen_ai.request.model": "m1",
      "http.request.resend_count": 2
    })
  })

  it("a try that is the second call of a hedge says so", () => {
    const spans = traced(record({ attempts: [attempt({ outcome: "cancelled" }), attempt({ hedge: true })] }))
    assert.deepStrictEqual(
      spans.filter(({ name }) => name === "attempt one/m1").map((each) => attributes(each)["llm.attempt.hedge"]),
      [undefined, true]
    )
  })

  it("a refusal has no try, and its admission is what failed", () => {
    const spans = traced(
      record({
        outcome: "RateLimitError.Exceeded",
        attempts: [],
        admittedAt: undefined,
        openedAt: undefined,
        candidate: undefined,
        model: undefined,
        endedAt: 1_002
      })
    )
    assert.deepStrictEqual(spans.map(seen), [
      { name: "chat", kind: "server", from: 1_000, to: 1_002, ok: false },
      { name: "admission", kind: "internal", from: 1_000, to: 1_002, ok: false }
    ])
    for (const span of spans) assert.strictEqual(attributes(span)["error.type"], "RateLimitError.Exceeded")
  })

  it("a try that nobody ended ends with its request", () => {
    const spans = traced(record({ outcome: "cancelled", attempts: [attempt({ outcome: "pending" })] }))
    assert.deepInclude(seen(spans[2]!), { name: "attempt one/m1", to: 1_400, ok: false })
  })

  it("times keep fractions of a ms", () => {
    const [root] = traced(record({ startedAt: 1_000.25, endedAt: 1_400.5 }))
    const { status } = root!
    assert.strictEqual(status.startTime, 1_000_250_000n)
    assert.isTrue(status._tag === "Ended" && status.endTime === 1_400_500_000n)
  })

  it("its parent is the span that the caller sent, and it is a root where there was none", () => {
    const [child] = traced(record({ trace: incoming }))
    const parent = Option.getOrUndefined(child!.parent)
    assert.deepInclude(parent, { _tag: "ExternalSpan", traceId: incoming.traceId, spanId: incoming.spanId })
    assert.strictEqual(child!.traceId, incoming.traceId)
    assert.notStrictEqual(child!.spanId, incoming.spanId)
    const [root] = traced(record())
    assert.isTrue(Option.isNone(root!.parent))
  })
})

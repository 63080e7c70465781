/**
 * Ballast over a provider that answers by script, in virtual time, with
 * everything that has to balance written down: calls and their scopes,
 * reservations, verdicts, draws, records.
 */
import { assert } from "@effect/vitest"
import { Clock, Effect, Layer, Scope, Stream } from "effect"
import type { Candidate } from "../../src/domain/candidate.ts"
import type { ChatChunk, ChatCompletion, ChatRequest } from "../../src/domain/chat.ts"
import type { BallastConfigInput } from "../../src/domain/config-file.ts"
import type { ResolvedConfig } from "../../src/domain/config.ts"
import { ProviderError } from "../../src/domain/errors.ts"
import type { ProviderReason } from "../../src/domain/errors.ts"
import * as Usage from "../../src/domain/usage.ts"
import * as CircuitBreakerMemory from "../../src/layers/circuit-breaker/memory.ts"
import * as RateLimiterMemory from "../../src/layers/rate-limiter/memory.ts"
import * as RetryBudgetMemory from "../../src/layers/retry-budget/memory.ts"
import * as Ballast from "../../src/programs/ballast.ts"
import * as Config from "../../src/programs/config.ts"
import { Bulkhead } from "../../src/services/bulkhead.ts"
import * as CircuitBreaker from "../../src/services/circuit-breaker.ts"
import * as Guard from "../../src/services/guard.ts"
import { Provider } from "../../src/services/provider.ts"
import type { Completion, CompletionEvent, Embedded, EmbedRequest, OpenRequest } from "../../src/services/provider.ts"
import * as RateLimiter from "../../src/services/rate-limiter.ts"
import type { RequestRecord } from "../../src/services/request-record.ts"
import * as RetryBudget from "../../src/services/retry-budget.ts"
import { Telemetry } from "../../src/services/telemetry.ts"

/** Two providers; `duo` may use both, `solo` the first alone. A dollar a million tokens in, two out. */
export const configOf = (
  policies: NonNullable<BallastConfigInput["policies"]> = {},
  more: Partial<BallastConfigInput> = {}
): ResolvedConfig =>
  Effect.runSync(
    Config.fromUnknown({
      providers: { one: { kind: "sim" }, two: { kind: "sim" } },
      models: [
        { alias: "duo", candidates: ["one/m1", "two/m2"], price: { inputPerMillion: 1, outputPerMillion: 2 } },
        { alias: "solo", candidates: ["one/m1"], price: { inputPerMillion: 1, outputPerMillion: 2 } },
        { alias: "vectors", kind: "embedding", candidates: ["one/e1", "two/e2"], price: { inputPerMillion: 1 } }
      ],
      policies,
      ...more
    })
  )

/** A retry budget that never stands in the way. */
export const richRetries = { budgetMax: 1_000, budgetConcurrent: 1, budgetRatio: 1 }

/** One call that reached the provider. `n` counts from 1; times are epoch ms. */
export interface Call {
  readonly n: number
  readonly at: number
  readonly candidate: Candidate
  readonly request: OpenRequest | EmbedRequest
  /** How often its scope was closed. */
  closed: number
  closedAt: number | undefined
}

/** What the limiter was told about one request. */
export interface Charge {
  readonly tokens: number
  readonly settled: Array<number>
  released: boolean
}

export interface World {
  readonly calls: Array<Call>
  readonly charges: Array<Charge>
  /** What the breaker heard: `key: succeed 12`, `key: fail 500`, `key: cutShort 8000`. */
  readonly verdicts: Array<string>
  readonly begun: Array<RequestRecord>
  readonly ended: Array<RequestRecord>
  readonly budget: { first: number; extra: number; drawn: number; deposits: number }
}

export interface Script {
  readonly open?: (call: Call) => Effect.Effect<Completion, ProviderError, Scope.Scope>
  readonly embed?: (call: Call) => Effect.Effect<Embedded, ProviderError, Scope.Scope>
}

/** All services of `config`, with the scripted provider and the books. */
export const make = (script: Script, config = configOf()) => {
  const world: World = {
    calls: [],
    charges: [],
    verdicts: [],
    begun: [],
    ended: [],
    budget: { first: 0, extra: 0, drawn: 0, deposits: 0 }
  }
  const { policies } = config

  const called = (candidate: Candidate, request: OpenRequest | EmbedRequest) =>
    Effect.acquireRelease(
      Effect.map(Clock.currentTimeMillis, (at) => {
        const call: Call = { n: world.calls.length + 1, at, candidate, request, closed: 0, closedAt: undefined }
        world.calls.push(call)
        return call
      }),
      (call) =>
        Effect.map(Clock.currentTimeMillis, (at) => {
          call.closed++
          call.closedAt = at
        })
    )

  const provider = Layer.succeed(Provider, {
    open: (candidate, request) =>
      Effect.flatMap(called(candidate, request), (call) => script.open?.(call) ?? Effect.die("not in this script")),
    embed: (candidate, request) =>
      Effect.flatMap(called(candidate, request), (call) => script.embed?.(call) ?? Effect.die("not in this script"))
  })

  const limiter = Layer.effect(
    RateLimiter.RateLimiter,
    Effect.map(RateLimiterMemory.make(policies.rateLimits), ({ service }) =>
      RateLimiter.make(
        (caller, tokens) => (restore, requestId) =>
          Guard.chain(service.reserveUnsafe(caller, tokens)(restore, requestId), (reservation) => {
            const charge: Charge = { tokens, settled: [], released: false }
            world.charges.push(charge)
            return Effect.succeed<RateLimiter.Reservation>({
              states: reservation.states,
              settle: (used) => {
                charge.settled.push(used)
                reservation.settle(used)
              },
              release: () => {
                charge.released = true
                reservation.release()
              }
            })
          })
      )
    )
  )

  const breaker = Layer.effect(
    CircuitBreaker.CircuitBreaker,
    Effect.map(CircuitBreakerMemory.make(policies.breaker), (service) =>
      CircuitBreaker.make({
        ...service,
        acquireUnsafe: (key) => (restore, requestId) =>
          Guard.chain(service.acquireUnsafe(key)(restore, requestId), (lease) =>
            Effect.succeed<CircuitBreaker.BreakerLease>({
              begin: (streamed) => lease.begin(streamed),
              gap: (ms) => lease.gap(ms),
              succeed: (ms) => {
                world.verdicts.push(`${key}: succeed ${ms}`)
                lease.succeed(ms)
              },
              fail: (ms) => {
                world.verdicts.push(ms === undefined ? `${key}: fail` : `${key}: fail ${ms}`)
                lease.fail(ms)
              },
              cutShort: (ms) => {
                world.verdicts.push(`${key}: cutShort ${ms}`)
                lease.cutShort(ms)
              },
              release: () => lease.release()
            })
          )
      })
    )
  )

  /** A lease that is on the books until it is released. */
  const onTheBooks = (kind: "first" | "extra", giveBack: () => void): (() => void) => {
    world.budget[kind]++
    let held = true
    return () => {
      if (held) world.budget[kind]--
      held = false
      giveBack()
    }
  }
  const retryBudget = Layer.effect(
    RetryBudget.RetryBudget,
    Effect.sync(() => {
      const service = RetryBudgetMemory.make(policies.retry)
      return RetryBudget.make({
        ...service,
        enterUnsafe: (restore, requestId) =>
          Guard.chain(service.enterUnsafe(restore, requestId), (place) => {
            const giveBack = onTheBooks("first", () => place.release())
            return Effect.succeed<RetryBudget.Place>({ release: giveBack, unused: giveBack })
          }),
        drawUnsafe: (restore, requestId) =>
          Guard.chain(service.drawUnsafe(restore, requestId), (draw) => {
            if (!draw.granted) return Effect.succeed(draw)
            world.budget.drawn++
            const giveBack = onTheBooks("extra", () => draw.release())
            return Effect.succeed<RetryBudget.Draw>({
              granted: true,
              release: giveBack,
              unused: () => {
                draw.unused()
                giveBack()
              }
            })
          }),
        deposit: () => {
          world.budget.deposits++
          service.deposit()
        }
      })
    })
  )

  const telemetry = Layer.succeed(Telemetry, {
    begin: (record) => void world.begun.push(record),
    end: (record) => void world.ended.push(record)
  })

  return {
    world,
    // What is merged last wins.
    layer: Layer.mergeAll(Layer.orDie(Ballast.layer(config)), provider, limiter, breaker, retryBudget, telemetry)
  }
}

/** Nothing is held any more, everything was closed or settled exactly once, every record that began has ended once. */
export const balanced = Effect.fnUntraced(function* (world: World, message = "") {
  const bulkhead = yield* Bulkhead
  for (const provider of ["one", "two"]) {
    const { inFlight, queued } = yield* bulkhead.state(provider)
    assert.deepStrictEqual({ inFlight, queued }, { inFlight: 0, queued: 0 }, `${message}: bulkhead of ${provider}`)
  }
  const { extra, first } = world.budget
  assert.deepStrictEqual({ extra, first }, { extra: 0, first: 0 }, `${message}: retry budget`)
  assert.isTrue(
    world.charges.every(({ released, settled }) => settled.length === 1 || (settled.length === 0 && released)),
    `${message}: every reservation is settled once or given back`
  )
  assert.isTrue(
    world.calls.every(({ closed }) => closed === 1),
    `${message}: every call's scope is closed exactly once`
  )
  assert.strictEqual(world.ended.length, world.begun.length, `${message}: records`)
  assert.strictEqual(new Set(world.ended).size, world.ended.length, `${message}: each record ends once`)
  assert.isTrue(
    world.ended.every(({ endedAt, outcome }) => endedAt !== undefined && outcome !== "pending"),
    `${message}: records are closed`
  )
})

/** A request of one short message. */
export const chat = (more: Partial<ChatRequest> = {}): ChatRequest => ({
  model: "duo",
  messages: [{ role: "user", content: "How deep is the hull?" }],
  ...more
})

export const fail = (call: Call, reason: ProviderReason): Effect.Effect<never, ProviderError> =>
  Effect.fail(new ProviderError({ provider: call.candidate.provider, reason }))

export const overloaded = (retryAfterMs?: number): ProviderReason => ({
  _tag: "Overloaded",
  detail: "full",
  ...(retryAfterMs === undefined ? {} : { retryAfterMs })
})

const upstream = { remainingRequests: undefined, remainingTokens: undefined }

export const completionOf = (content: string, usage?: Usage.Usage): ChatCompletion => ({
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 0,
  model: "scripted",
  choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }],
  ...(usage === undefined ? {} : { usage })
})

/** A whole answer; 100 tokens in and 20 out unless it says otherwise, `null` for none reported. */
export const whole = (
  { candidate }: Pick<Call, "candidate">,
  content = "Deep.",
  usage: Usage.Usage | null = Usage.make(100, 20)
): Effect.Effect<Completion> => {
  const completion = completionOf(content, usage ?? undefined)
  return Effect.succeed({
    candidate,
    first: { _tag: "Whole", completion, data: JSON.stringify(completion) },
    rest: Stream.empty,
    upstream
  })
}

/** A chunk of a stream: text, or the usage at its end. */
export const chunk = (content: string | Usage.Usage): CompletionEvent => {
  const text = typeof content === "string"
  const value: ChatChunk = {
    id: "chatcmpl-1",
    object: "chat.completion.chunk",
    created: 0,
    model: "scripted",
    choices: text ? [{ index: 0, delta: { content }, finish_reason: null }] : [],
    ...(text ? {} : { usage: content })
  }
  return { _tag: "Chunk", chunk: value, data: JSON.stringify(value) }
}

/** A stream that begins with `first`. */
export const streaming = (
  { candidate }: Pick<Call, "candidate">,
  first: string,
  rest: Stream.Stream<CompletionEvent, ProviderError>
): Effect.Effect<Completion> => Effect.succeed({ candidate, first: chunk(first), rest, upstream })

/** Embeddings of one text. */
export const embedded = ({ candidate }: Pick<Call, "candidate">, tokens = 5): Effect.Effect<Embedded> => {
  const response = {
    object: "list" as const,
    model: "scripted",
    data: [{ object: "embedding" as const, index: 0, embedding: [0.5] }],
    usage: { prompt_tokens: tokens, total_tokens: tokens }
  }
  return Effect.succeed({ candidate, response, data: JSON.stringify(response) })
}

/** The exit of an effect, and when it came. */
export const timed = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Effect.exit(self), (exit) => Effect.map(Clock.currentTimeMillis, (at) => ({ exit, at })))

/** Let the others run for a while without time passing. */
export const turns = (count: number): Effect.Effect<void> =>
  count <= 0
    ? Effect.void
    : Effect.andThen(
        Effect.yieldNow,
        Effect.suspend(() => turns(count - 1))
      )

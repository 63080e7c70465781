/**
 * Processes with a bulkhead each before one provider that its callers share, in
 * virtual time. An open loop: a slow answer delays nobody's next call.
 */
import { Clock, Effect, Random } from "effect"
import type { BulkheadPolicy } from "../../src/domain/policy.ts"
import * as BulkheadMemory from "../../src/layers/bulkhead/memory.ts"
import type { LimitOf } from "../../src/layers/bulkhead/memory.ts"
import * as Engine from "../../src/layers/provider/sim/engine.ts"
import type { FaultInput } from "../../src/layers/provider/sim/options.ts"
import * as Draws from "../../src/layers/provider/sim/random.ts"
import * as TimerWheel from "../../src/layers/timers/wheel.ts"
import * as Traffic from "../../src/programs/simulate/traffic.ts"
import * as VirtualTime from "../../src/programs/simulate/virtual-time.ts"
import type { Bulkhead } from "../../src/services/bulkhead.ts"
import { Timers } from "../../src/services/timers.ts"

/** One run. `load` is offered work over the provider's capacity, before any fault. */
export interface World {
  readonly seed: number
  readonly processes: number
  readonly concurrency: number
  readonly load: number
  readonly streamed: boolean
  readonly durationS: number
  readonly deadlineMs: number
  readonly tenants: number
  readonly policy: BulkheadPolicy
  readonly limitOf: LimitOf
  readonly faults?: ReadonlyArray<FaultInput>
  /** What the provider does with a call whose caller has left. */
  readonly abandoned?: "stop" | "continue"
  /** Seconds in which nobody calls. */
  readonly quiet?: { readonly fromS: number; readonly toS: number }
}

/** How one call went. Times are ms since the start. */
export interface Visit {
  readonly at: number
  /** `good`: in time; `late`: after its deadline; `refused`: by its bulkhead. */
  ending: "pending" | "good" | "late" | "refused"
  endedAt: number
  waitedMs: number
  firstTokenMs: number
  why: string
}

/** What a run leaves: its calls, and the limits of all processes together, a second at a time. */
export interface Outcome {
  readonly visits: ReadonlyArray<Visit>
  readonly limits: ReadonlyArray<number>
  readonly capacityPerS: number
}

const firstToken = { medianMs: 300, sigma: 0.4 }
const perToken = { medianMs: 15, sigma: 0.3 }
const meanTokens = 80
const tokensOf = (random: Draws.Random) => Math.min(400, Math.max(1, Math.round(-meanTokens * Math.log(1 - random()))))

const meanOf = ({ medianMs, sigma }: { readonly medianMs: number; readonly sigma: number }) =>
  medianMs * Math.exp((sigma * sigma) / 2)

/** Medians of an idle provider: of the first token, and of a whole answer (which is that of its median length, about). */
export const idleFirstTokenMs = firstToken.medianMs
export const idleAnswerMs = firstToken.medianMs + meanTokens * Math.LN2 * meanOf(perToken)

/** Tokens that one chunk of a stream stands for; permits hear of the pace a chunk at a time. */
const chunkTokens = 16
const promptTokens = 100

/** Play a world. */
export const play = (world: World): Outcome =>
  VirtualTime.runOrThrow(
    Effect.scoped(
      Effect.provideService(Effect.provide(playing(world), TimerWheel.layer), Random.Random, chance(world.seed))
    )
  )

const chance = (seed: number): typeof Random.Random.Service => {
  const random = Draws.make(seed, 7)
  return { nextDoubleUnsafe: random, nextIntUnsafe: () => Math.floor((random() - 0.5) * 2 ** 53) }
}

const playing = Effect.fnUntraced(function* (world: World) {
  const clock = yield* Clock.Clock
  const timers = yield* Timers
  const engine = yield* Engine.make({
    seed: world.seed,
    concurrency: world.concurrency,
    ttft: firstToken,
    perToken,
    tokensPerChunk: world.streamed ? chunkTokens : 100_000,
    abandoned: world.abandoned ?? "stop",
    faults: world.faults ?? []
  })
  const bulkheads: Array<Bulkhead["Service"]> = []
  for (let i = 0; i < world.processes; i++) bulkheads.push(yield* BulkheadMemory.make(world.policy, {}, world.limitOf))

  const random = Draws.make(world.seed, 1)
  const lengths = Array.from({ length: 4_000 }, () => tokensOf(random))
  const mean = lengths.reduce((sum, n) => sum + n, 0) / lengths.length
  // The first token is not paid for twice.
  const capacityPerS = (world.concurrency * 1_000) / (meanOf(firstToken) + (mean - 1) * meanOf(perToken))
  const arrivals = Traffic.arrivals(random, {
    ratePerS: world.load * capacityPerS,
    cv: 1,
    fromMs: 0,
    toMs: world.durationS * 1_000
  }).filter((at) => world.quiet === undefined || at < world.quiet.fromS * 1_000 || at >= world.quiet.toS * 1_000)

  const visits: Array<Visit> = []
  const limits: Array<number> = []
  yield* Effect.forkScoped(
    Effect.gen(function* () {
      for (;;) {
        let sum = 0
        for (const bulkhead of bulkheads) sum += (yield* bulkhead.state("provider")).limit
        limits.push(sum)
        yield* Effect.sleep(1_000)
      }
    })
  )
  const visit = Effect.fnUntraced(function* (one: Visit, number: number) {
    const bulkhead = bulkheads[number % bulkheads.length]!
    const tokens = lengths[number % lengths.length]!
    const deadline = { atMs: one.at + world.deadlineMs, budgetMs: world.deadlineMs }
    const permit = yield* bulkhead.acquire({
      key: "provider",
      tenant: `tenant-${Math.floor(random() * world.tenants)}`,
      plan: "standard",
      tokens: promptTokens + meanTokens,
      priority: "critical",
      streamed: world.streamed,
      deadline
    })
    one.waitedMs = permit.waitedMs
    const calledAt = timers.now()
    const call = yield* engine.admit({
      model: "sim-large",
      promptTokens,
      tokens,
      choices: 1,
      first: firstToken,
      directive: undefined
    })
    const last = Math.ceil(tokens / engine.options.tokensPerChunk)
    const first = yield* Effect.timeoutOption(
      engine.processor.wait(call.dueAt(world.streamed ? 0 : last)),
      Math.max(1, deadline.atMs - calledAt)
    )
    if (first._tag === "None") {
      one.ending = "late"
      return
    }
    const tookMs = timers.now() - calledAt
    one.firstTokenMs = timers.now() - one.at
    one.ending = "good"
    if (world.streamed) {
      permit.firstToken(tookMs)
      for (let chunk = 1; chunk <= last; chunk++) {
        const from = timers.now()
        yield* engine.processor.wait(call.dueAt(chunk))
        const count = Math.min(chunkTokens, tokens - (chunk - 1) * chunkTokens) - (chunk === 1 ? 1 : 0)
        if (count > 0) permit.pace(count, timers.now() - from)
      }
    } else {
      permit.answered(tokens, tookMs)
    }
    permit.settle(promptTokens + tokens)
  })
  for (const [number, at] of arrivals.entries()) {
    const wait = at - clock.currentTimeMillisUnsafe()
    if (wait > 0) yield* Effect.sleep(wait)
    const one: Visit = { at: timers.now(), ending: "pending", endedAt: 0, waitedMs: 0, firstTokenMs: 0, why: "" }
    visits.push(one)
    yield* Effect.forkScoped(
      Effect.matchEffect(Effect.scoped(visit(one, number)), {
        onFailure: (failure) =>
          Effect.sync(() => {
            one.ending = "_tag" in failure && failure._tag === "Status" ? "late" : "refused"
            one.why = "reason" in failure ? failure.reason._tag : ""
            one.endedAt = timers.now()
          }),
        onSuccess: () =>
          Effect.sync(() => {
            one.endedAt = timers.now()
          })
      }),
      { startImmediately: true }
    )
  }
  const rest = world.durationS * 1_000 - clock.currentTimeMillisUnsafe()
  if (rest > 0) yield* Effect.sleep(rest)
  return { visits, limits, capacityPerS }
})

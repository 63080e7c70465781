/**
 * Where the time of a call goes: each guard alone, through its port, over an
 * empty scope; and V8's own profile of the whole, as self time of each module.
 */
import { Session } from "node:inspector/promises"
import { Context, Effect } from "effect"
import * as Candidate from "../../src/domain/candidate.ts"
import { complete } from "../../src/programs/complete.ts"
import { Bulkhead } from "../../src/services/bulkhead.ts"
import { Catalog } from "../../src/services/catalog.ts"
import { CircuitBreaker } from "../../src/services/circuit-breaker.ts"
import * as Deadline from "../../src/services/deadline.ts"
import { KillSwitch } from "../../src/services/kill-switch.ts"
import * as LeaseScope from "../../src/services/lease-scope.ts"
import { RateLimiter } from "../../src/services/rate-limiter.ts"
import * as Record from "../../src/services/request-record.ts"
import { RetryBudget } from "../../src/services/retry-budget.ts"
import { Router } from "../../src/services/router.ts"
import { Telemetry } from "../../src/services/telemetry.ts"
import { timeBox, Timers } from "../../src/services/timers.ts"
import { TokenCounter } from "../../src/services/token-counter.ts"
import * as Clock from "./clock.ts"
import * as Stack from "./stack.ts"

/** µs of CPU, by name, dearest first. */
export type Shares = ReadonlyArray<readonly [name: string, micros: number]>

type Each = Effect.Effect<unknown, unknown, Stack.Services>

const loop = (services: Context.Context<Stack.Services>, each: Each) => (count: number) => {
  let left = count
  const again: Effect.Effect<void, unknown, Stack.Services> = Effect.suspend(() =>
    left-- > 0 ? Effect.flatMap(each, () => again) : Effect.void
  )
  return Effect.runPromise(Effect.provideContext(again, services))
}

/** Each guard alone, minus an empty scope. */
export const alone = (rounds: number, count: number): Promise<Shares> =>
  Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const services = yield* Stack.context(Stack.instant)
        const get = <I, S>(key: Context.Key<I, S>) => Context.getUnsafe(services, key)
        const key = Candidate.key(Stack.candidate)
        const timers = get(Timers)
        const telemetry = get(Telemetry)
        const counter = get(TokenCounter)
        const model = yield* Effect.orDie(get(Catalog).resolve("bench", "chat"))
        const microtask = Effect.callback<void>((resume) => queueMicrotask(() => resume(Effect.void)))
        const steps: Readonly<Record<string, Each>> = {
          "empty scope": LeaseScope.scoped(Effect.void),
          "kill switch": LeaseScope.scoped(
            get(KillSwitch).check({ tenant: "tenant-1", feature: "default", model: "bench" })
          ),
          catalog: LeaseScope.scoped(get(Catalog).resolve("bench", "chat")),
          "token estimate": LeaseScope.scoped(Effect.sync(() => counter.estimate("bench", Stack.chat))),
          "rate limiter": LeaseScope.scoped(
            Effect.map(get(RateLimiter).reserve(Stack.caller, 350), (reservation) => reservation.settle(250))
          ),
          router: LeaseScope.scoped(get(Router).route(model, Stack.caller)),
          "retry budget": LeaseScope.scoped(Effect.map(get(RetryBudget).enter, () => get(RetryBudget).deposit())),
          "circuit breaker": LeaseScope.scoped(
            Effect.map(get(CircuitBreaker).acquire(key), (lease) => lease.succeed(100))
          ),
          bulkhead: LeaseScope.scoped(
            get(Bulkhead).acquire({
              key: "instant",
              tenant: "tenant-1",
              tokens: 350,
              plan: "standard",
              priority: "critical",
              streamed: true,
              deadline: Deadline.none
            })
          ),
          "bare wait": LeaseScope.scoped(microtask),
          "time box around a wait": LeaseScope.scoped(
            Effect.suspend(() => timeBox(timers, timers.now() + 8_000, () => "late")(microtask))
          ),
          "record and metrics": LeaseScope.scoped(
            Effect.sync(() => {
              const record = Record.make({
                id: "req_1",
                operation: "chat",
                caller: Stack.caller,
                startedAt: timers.now()
              })
              telemetry.begin(record)
              record.outcome = "ok"
              record.endedAt = timers.now()
              telemetry.end(record)
            })
          )
        }
        const variants = Object.fromEntries(
          Object.entries(steps).map(([name, each]) => [name, { name, run: loop(services, each) }])
        )
        const times = yield* Effect.promise(() => Clock.interleaved(variants, rounds, count))
        return Object.keys(steps)
          .filter((name) => name !== "empty scope" && name !== "bare wait")
          .map((name) => {
            const base = times[name === "time box around a wait" ? "bare wait" : "empty scope"] ?? []
            return [name, Clock.median(Clock.paired(times[name] ?? [], base, (x, y) => x - y))] as const
          })
          .toSorted(([, a], [, b]) => b - a)
      })
    )
  )

/** The module that a frame belongs to: a file of ours, a module of Effect, or what V8 calls it. */
const moduleOf = (url: string, functionName: string): string => {
  const own = /\/((?:src|bench)\/.*)$/u.exec(url)
  if (own !== null && !url.includes("node_modules")) return own[1] ?? url
  const effect = /node_modules\/effect\/(?:dist|src)\/(.*?)\.(?:js|ts)$/u.exec(url)
  if (effect !== null) return `effect/${effect[1]}`
  if (url.startsWith("node:")) return url
  return functionName.startsWith("(") ? functionName : "other"
}

/** Self time of each module in a tight loop of `count` calls. */
export const byModule = (count: number): Promise<Shares> =>
  Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const services = yield* Stack.context(Stack.instant)
        const run = loop(services, Effect.scoped(Effect.suspend(() => complete(Stack.chat, Stack.body))))
        return yield* Effect.promise(async () => {
          await run(count)
          const session = new Session()
          session.connect()
          await session.post("Profiler.enable")
          await session.post("Profiler.setSamplingInterval", { interval: 100 })
          await session.post("Profiler.start")
          await run(count)
          const { profile } = await session.post("Profiler.stop")
          session.disconnect()
          const names = new Map(
            profile.nodes.map(({ callFrame, id }) => [id, moduleOf(callFrame.url, callFrame.functionName)])
          )
          const micros = new Map<string, number>()
          for (const [index, node] of (profile.samples ?? []).entries()) {
            const name = names.get(node) ?? "other"
            micros.set(name, (micros.get(name) ?? 0) + (profile.timeDeltas?.[index] ?? 0))
          }
          return (
            [...micros]
              // The profiler's own start is in its profile.
              .filter(([name]) => name !== "(idle)" && name !== "node:inspector")
              .map(([name, total]) => [name, total / count] as const)
              .toSorted(([, a], [, b]) => b - a)
              .slice(0, 24)
          )
        })
      })
    )
  )

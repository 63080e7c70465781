import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Random } from "effect"
import * as Fleet from "../../../../src/programs/simulate/fleet.ts"
import * as Scenario from "../../../../src/programs/simulate/scenario.ts"
import * as VirtualTime from "../../../../src/programs/simulate/virtual-time.ts"
import { complete } from "../../../../src/programs/complete.ts"
import { Bulkhead } from "../../../../src/services/bulkhead.ts"
import { CircuitBreaker } from "../../../../src/services/circuit-breaker.ts"
import { RetryBudget } from "../../../../src/services/retry-budget.ts"
import { Timers } from "../../../../src/services/timers.ts"
import { scenario } from "../../../support/scenario.ts"

/** A fleet of a scenario, and what it said. */
const fleetOf = (size: number, of: Scenario.Scenario) =>
  Effect.gen(function* () {
    const calls: Array<Fleet.ProviderCall> = []
    const transitions: Array<Fleet.FleetTransition> = []
    const fleet = yield* Fleet.make({
      size,
      seed: 5,
      config: yield* Effect.orDie(Scenario.configOf(of, "ballast")),
      providers: of.providers,
      listener: { call: (call) => calls.push(call), transition: (transition) => transitions.push(transition) }
    })
    return { ...fleet, calls, transitions }
  })

const ask = complete({ model: "chat", messages: [{ role: "user", content: "Hello" }] })

/** Ask through one process, and read the answer. */
const askAt = (process: Fleet.Process | undefined) =>
  process === undefined
    ? Effect.die("no such process")
    : Effect.provideContext(Effect.exit(Effect.scoped(ask)), process.context)

describe("fleet", () => {
  it("gives each process services of its own, and its own chance", () => {
    VirtualTime.runOrThrow(
      Effect.scoped(
        Effect.gen(function* () {
          const { processes } = yield* fleetOf(3, scenario())
          assert.strictEqual(processes.length, 3)
          const distinct = (service: (context: Fleet.Process["context"]) => unknown) =>
            new Set(processes.map(({ context }) => service(context))).size
          assert.strictEqual(distinct(Context.get(Bulkhead)), 3)
          assert.strictEqual(distinct(Context.get(CircuitBreaker)), 3)
          assert.strictEqual(distinct(Context.get(RetryBudget)), 3)
          assert.strictEqual(distinct(Context.get(Timers)), 3)
          const draws = processes.map(({ context }) => Context.get(context, Random.Random).nextDoubleUnsafe())
          assert.strictEqual(new Set(draws).size, 3)
        })
      )
    )
  })

  it("shares the providers, and writes down who called them when", () => {
    VirtualTime.runOrThrow(
      Effect.scoped(
        Effect.gen(function* () {
          const { calls, processes, providers } = yield* fleetOf(2, scenario())
          yield* Effect.sleep(50)
          for (const process of processes) yield* askAt(process)
          const stats = yield* providers["primary"]?.stats ?? Effect.die("no provider")
          assert.strictEqual(stats.calls, 2)
          assert.deepStrictEqual(
            calls.map(({ process, provider }) => [provider, process]),
            [
              ["primary", 0],
              ["primary", 1]
            ]
          )
          assert.strictEqual(calls[0]?.atMs, 50)
        })
      )
    )
  })

  it("tells of each process's breaker apart", () => {
    const down = scenario({
      providers: { primary: { faults: [{ kind: "outage" }] } },
      policies: { ballast: { breaker: { minimumCalls: 3 }, retry: { maxRetries: 0 } } }
    })
    VirtualTime.runOrThrow(
      Effect.scoped(
        Effect.gen(function* () {
          const { processes, transitions } = yield* fleetOf(2, down)
          for (let call = 0; call < 10; call++) yield* askAt(processes[1])
          yield* Effect.sleep(1)
          assert.deepStrictEqual(
            transitions.map(({ from, process, to }) => [process, from, to]),
            [[1, "closed", "open"]]
          )
          assert.isAtMost(transitions[0]?.atMs ?? Infinity, yield* Clock.currentTimeMillis)
        })
      )
    )
  })
})

/**
 * What the breakers of several processes must do together, wherever they share
 * what they know. Runs in real time, since stores do.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import type { BreakerPolicy } from "../../src/domain/policy.ts"
import { CircuitBreaker } from "../../src/services/circuit-breaker.ts"
import type { BreakerLease, BreakerState } from "../../src/services/circuit-breaker.ts"
import * as Kit from "./circuit-breaker-kit.ts"

type Breaker = CircuitBreaker["Service"]

/** Start one more process, whose clock is wrong by so many ms. */
export type Start = (skewMs?: number) => Effect.Effect<Breaker, never, Scope.Scope>

/** A new fleet without processes. */
export type MakeFleet = (
  policy: BreakerPolicy,
  pools?: ReadonlyArray<ReadonlyArray<string>>
) => Effect.Effect<Start, never, Scope.Scope>

/** Quick, for tests in real time. */
export const policy: BreakerPolicy = { ...Kit.policy, openMs: 400, maxOpenMs: 1_600 }

export const key = Kit.key

const within = <A, E, R>(ms: number, what: string, effect: Effect.Effect<A, E, R>) =>
  Effect.timeoutOrElse(effect, {
    duration: ms,
    orElse: () => Effect.sync((): never => assert.fail(`not within ${ms} ms: ${what}`))
  })

/** Wait until `check` holds. */
export const eventually = <E, R>(what: string, check: Effect.Effect<boolean, E, R>, ms = 1_000) =>
  within(ms, what, Effect.repeat(Effect.tap(check, Effect.sleep(5)), { until: (holds) => holds }))

/** Wait until the breaker is in that state: within a second, unless said otherwise. */
export const becomes = (breaker: Breaker, state: BreakerState, ms = 1_000, of = key) =>
  eventually(
    `${of} is ${state}`,
    Effect.map(breaker.state(of), (now) => now === state),
    ms
  )

const is = (breaker: Breaker, state: BreakerState, of = key) =>
  Effect.map(breaker.state(of), (now) => assert.strictEqual(now, state))

/** Calls with their verdict. */
export const calls = (breaker: Breaker, count: number, verdict: (lease: BreakerLease) => void, of = key) =>
  Kit.times(count, Effect.provideService(Kit.call(verdict, of), CircuitBreaker, breaker))

export const failing = (lease: BreakerLease): void => lease.fail()
export const good = (lease: BreakerLease): void => lease.succeed(10)

/** A lease that is held until its `close`. */
export const hold = (breaker: Breaker, of = key) => Effect.provideService(Kit.hold(of), CircuitBreaker, breaker)

const refusal = (breaker: Breaker, of = key) => Effect.provideService(Kit.refusal(of), CircuitBreaker, breaker)

/** Wait until a call is let in. */
const holdSoon = (breaker: Breaker, ms: number) =>
  within(ms, "a call is let in", Effect.retry(hold(breaker), { while: () => Effect.as(Effect.sleep(10), true) }))

/** Open it in the first, and wait until all have it half-open. */
const halfOpen = Effect.fnUntraced(function* (first: Breaker, ...others: ReadonlyArray<Breaker>) {
  yield* calls(first, 10, failing)
  for (const one of others) yield* becomes(one, "open")
  for (const one of [first, ...others]) yield* becomes(one, "half-open", 2_000)
})

export const suite = (name: string, fleet: MakeFleet): void => {
  const live = <A, E>(title: string, test: (start: Start) => Effect.Effect<A, E, Scope.Scope>, values = {}) =>
    it.live(title, () => Effect.flatMap(fleet({ ...policy, ...values }), test))

  describe(`CircuitBreaker: ${name}: a fleet`, () => {
    live("what opens in one process is open in all within a second, for about as long", (start) =>
      Effect.gen(function* () {
        const [one, two, three] = [yield* start(), yield* start(), yield* start()]
        yield* calls(one, 10, failing)
        yield* is(one, "open")
        for (const other of [two, three]) yield* becomes(other, "open")
        for (const breaker of [one, two, three]) {
          const reason = yield* refusal(breaker)
          assert.strictEqual(reason._tag, "Open")
          assert.isAtMost(reason.retryAfterMs, 1.2 * 1.2 * policy.openMs)
        }
        yield* is(two, "closed", "another/model")
      })
    )

    live(
      "one that is open in a fleet is open in a process that starts later",
      (start) =>
        Effect.gen(function* () {
          const one = yield* start()
          yield* calls(one, 10, failing)
          yield* becomes(yield* start(), "open")
        }),
      { openMs: 20_000, maxOpenMs: 20_000 }
    )

    live(
      "half-open, all processes together make as many calls as one would, and their answers close it everywhere",
      (start) =>
        Effect.gen(function* () {
          const all = [yield* start(), yield* start(), yield* start()]
          const [one, two, three] = all as [Breaker, Breaker, Breaker]
          yield* halfOpen(one, two, three)
          const probes = [yield* hold(one), yield* hold(two), yield* hold(three)]
          for (const breaker of all) {
            for (let i = 0; i < 5; i++) assert.strictEqual((yield* refusal(breaker))._tag, "Probing")
          }
          for (const { lease } of probes) assert.isTrue(lease.begin())
          for (const { lease } of probes) lease.succeed(10)
          for (const breaker of all) yield* becomes(breaker, "closed")
          // All of them begin afresh.
          yield* calls(two, 9, failing)
          yield* is(two, "closed")
        })
    )

    live("probes of one process close it everywhere, also where it is still open", (start) =>
      Effect.gen(function* () {
        const [one, two] = [yield* start(), yield* start()]
        yield* calls(one, 10, failing)
        yield* becomes(two, "open")
        yield* becomes(one, "half-open")
        yield* calls(one, 3, good)
        yield* is(one, "closed")
        yield* becomes(two, "closed")
      })
    )

    live("one failed probe opens it again everywhere, for longer each time, whoever made it", (start) =>
      Effect.gen(function* () {
        const [one, two] = [yield* start(), yield* start()]
        yield* halfOpen(one, two)
        yield* calls(two, 1, failing)
        yield* becomes(one, "open")
        yield* becomes(one, "half-open", 3_000)
        yield* becomes(two, "half-open", 3_000)
        yield* calls(one, 1, failing)
        yield* is(one, "open")
        // 400, 800, 1,600 ms: the second doubling was that of another process.
        assert.isAtLeast((yield* refusal(one)).retryAfterMs, 0.8 * 1_600 - 50)
      })
    )

    live("slow probes of several processes do not close it", (start) =>
      Effect.gen(function* () {
        const [one, two, three] = [yield* start(), yield* start(), yield* start()]
        yield* halfOpen(one, two, three)
        for (const breaker of [one, two, three]) yield* calls(breaker, 1, (lease) => lease.succeed(1_001))
        yield* becomes(one, "open")
        yield* becomes(two, "open")
      })
    )

    live("a place that was not used, or whose process was killed, is another's", (start) =>
      Effect.gen(function* () {
        const two = yield* start()
        const life = yield* Scope.make()
        const one = yield* Scope.provide(start(), life)
        yield* halfOpen(one, two)
        const probes = [yield* hold(one), yield* hold(one), yield* hold(one)]
        assert.strictEqual((yield* refusal(two))._tag, "Probing")
        for (const { close } of probes) yield* close
        const other = yield* holdSoon(two, 1_000)
        yield* other.close
        yield* Effect.forEach([1, 2, 3], () => holdSoon(one, 1_000))
        yield* Scope.close(life, Exit.void)
        yield* holdSoon(two, 3_000)
      })
    )

    live("late verdicts of an older generation change nothing, in no process", (start) =>
      Effect.gen(function* () {
        const [one, two] = [yield* start(), yield* start()]
        const early = [yield* hold(two), yield* hold(two), yield* hold(two)]
        yield* halfOpen(one, two)
        const late = yield* hold(two)
        yield* calls(one, 1, failing)
        yield* becomes(two, "open")
        for (const { lease } of [...early, late]) {
          assert.isFalse(lease.begin())
          lease.succeed(10)
        }
        // Whatever they said would have come before this.
        yield* two.trip("marker", 60_000)
        yield* becomes(one, "open", 1_000, "marker")
        for (const breaker of [one, two]) assert.notStrictEqual(yield* breaker.state(key), "closed")
      })
    )

    live("tripped and reset by hand in one process, it is so in all, and in those that start later", (start) =>
      Effect.gen(function* () {
        const [one, two] = [yield* start(), yield* start()]
        yield* one.trip(key, 60_000)
        yield* becomes(two, "open")
        assert.approximately((yield* refusal(two)).retryAfterMs, 60_000, 2_000)
        yield* is(yield* start(), "open")
        yield* two.reset(key, 60_000)
        yield* becomes(one, "closed")
        const later = yield* start()
        for (const breaker of [one, two, later]) {
          // Held closed: nothing opens it.
          yield* calls(breaker, 30, failing)
          yield* is(breaker, "closed")
        }
        yield* one.trip(key, Infinity)
        yield* becomes(later, "open")
        yield* is(yield* start(), "open")
        yield* later.reset(key)
        yield* becomes(one, "closed")
        yield* calls(one, 10, failing)
        yield* becomes(two, "open")
      })
    )

    live("a process whose own calls are well does not open because another says so", (start) =>
      Effect.gen(function* () {
        const [sick, well, idle] = [yield* start(), yield* start(), yield* start()]
        yield* calls(well, 20, good)
        yield* calls(sick, 10, failing)
        yield* becomes(idle, "open")
        yield* sick.trip("marker", 60_000)
        yield* becomes(well, "open", 1_000, "marker")
        yield* is(well, "closed")
        // By its own evidence it does.
        yield* calls(well, 40, (lease) => lease.fail()).pipe(Effect.ignore)
        yield* is(well, "open")
      })
    )

    for (const skewMs of [-3_600_000, 3_600_000]) {
      live(`a clock that is wrong by ${skewMs / 3_600_000} h changes nothing`, (start) =>
        Effect.gen(function* () {
          const [right, wrong] = [yield* start(), yield* start(skewMs)]
          yield* calls(wrong, 10, failing)
          yield* becomes(right, "open")
          assert.isAtMost((yield* refusal(right)).retryAfterMs, 1.2 * 1.2 * policy.openMs)
          yield* becomes(right, "half-open")
          yield* becomes(wrong, "half-open")
          yield* calls(right, 3, good)
          yield* becomes(wrong, "closed")
          yield* right.trip(key, 60_000)
          yield* becomes(wrong, "open")
          assert.approximately((yield* refusal(wrong)).retryAfterMs, 60_000, 2_000)
          yield* is(yield* start(skewMs), "open")
        })
      )
    }

    it.live("two processes that open different ones at once leave nobody with nothing", () =>
      Effect.gen(function* () {
        const start = yield* fleet(policy, [["a", "b"]])
        const all = [yield* start(), yield* start(), yield* start()]
        const [one, two] = all as [Breaker, Breaker]
        // Neither has heard of the other by then.
        yield* Effect.andThen(calls(one, 10, failing, "a"), calls(two, 10, failing, "b"))
        yield* is(one, "open", "a")
        yield* is(two, "open", "b")
        for (const breaker of [one, two]) yield* breaker.trip(`marker of ${all.indexOf(breaker)}`, 60_000)
        for (const breaker of all) {
          for (const by of [0, 1]) yield* becomes(breaker, "open", 1_000, `marker of ${by}`)
          const states = [yield* breaker.state("a"), yield* breaker.state("b")]
          assert.strictEqual(states.filter((state) => state === "open").length, 1, states.join())
        }
      })
    )
  })
}

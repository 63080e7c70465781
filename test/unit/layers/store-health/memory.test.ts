import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Metric, References, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as StoreHealthMemory from "../../../../src/layers/store-health/memory.ts"
import { StoreHealth } from "../../../../src/services/store-health.ts"
import type { StoreChange, StoreName } from "../../../../src/services/store-health.ts"

const fail = (health: StoreHealth["Service"], times: number, store: StoreName = "redis") => {
  for (let i = 0; i < times; i++) health.failed(store, "Timeout")
}

/** A health, with what it says: changes and log lines. */
const watched = Effect.gen(function* () {
  const lines: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => void lines.push(`${logLevel}: ${String(message)}`))
  const health = yield* StoreHealthMemory.make.pipe(
    Effect.provideService(Logger.CurrentLoggers, new Set([logger])),
    Effect.provideService(References.MinimumLogLevel, "Info")
  )
  const changes: Array<StoreChange> = []
  yield* health.changes.pipe(
    Stream.runForEach((change) => Effect.sync(() => changes.push(change))),
    Effect.forkScoped({ startImmediately: true })
  )
  yield* Effect.yieldNow
  return { health, changes, lines }
})

/** One that has answered, some time ago. */
const answering = Effect.tap(watched, ({ health }) => {
  health.ok("redis")
  return TestClock.adjust(1_000)
})

const settled = Effect.forEach([1, 2, 3, 4, 5], () => Effect.yieldNow, { discard: true })

describe("health of the stores", () => {
  it.effect("a store that nobody has asked yet may be asked", () =>
    Effect.gen(function* () {
      const { health } = yield* watched
      assert.isTrue(health.usable("redis"))
      assert.isFalse(health.down("redis"))
      assert.deepStrictEqual(yield* health.states, [])
    })
  )

  it.effect("one that has never answered is down with its first failure", () =>
    Effect.gen(function* () {
      const { health } = yield* watched
      fail(health, 1)
      assert.isTrue(health.down("redis"))
      assert.isFalse(health.usable("redis"))
      assert.isTrue(health.usable("postgres"))
    })
  )

  it.effect("one that has answered is down after three failures in a row", () =>
    Effect.gen(function* () {
      const { health } = yield* answering
      fail(health, 2)
      health.ok("redis")
      yield* TestClock.adjust(1_000)
      fail(health, 2)
      assert.isFalse(health.down("redis"))
      fail(health, 1)
      assert.isTrue(health.down("redis"))
    })
  )

  it.effect("lost answers among good ones are no outage", () =>
    Effect.gen(function* () {
      const { health } = yield* answering
      for (let i = 0; i < 100; i++) {
        health.ok("redis")
        yield* TestClock.adjust(20)
        fail(health, 5)
        assert.isFalse(health.down("redis"))
      }
      yield* TestClock.adjust(30)
      fail(health, 1)
      assert.isTrue(health.down("redis"))
    })
  )

  it.effect("while it is down one probe goes to it every half second or so, and a failed one changes nothing", () =>
    Effect.gen(function* () {
      const { changes, health } = yield* answering
      fail(health, 3)
      let probes = 0
      for (let ms = 0; ms < 60_000; ms += 10) {
        for (let i = 0; i < 3; i++) {
          if (!health.usable("redis")) continue
          probes++
          fail(health, 1)
        }
        yield* TestClock.adjust(10)
      }
      assert.isAtLeast(probes, 60_000 / 760)
      assert.isAtMost(probes, 60_000 / 500)
      yield* settled
      assert.strictEqual(changes.length, 1)
    })
  )

  it.effect("a clock that is set back does not put the probe off", () =>
    Effect.gen(function* () {
      const { health } = yield* answering
      yield* TestClock.setTime(3_600_000)
      fail(health, 3)
      assert.isFalse(health.usable("redis"))
      yield* TestClock.setTime(1_000)
      assert.isTrue(health.usable("redis"))
      assert.isFalse(health.usable("redis"))
    })
  )

  it.effect("says each change once: as an event, in the log, as state", () =>
    Effect.gen(function* () {
      const { changes, health, lines } = yield* answering
      fail(health, 50)
      yield* TestClock.adjust(5_000)
      assert.isTrue(health.usable("redis"))
      health.ok("redis")
      health.ok("redis")
      assert.isTrue(health.usable("redis"))
      yield* settled
      assert.deepStrictEqual(changes, [
        { store: "redis", up: false, atMs: 1_000, detail: "Timeout" },
        { store: "redis", up: true, atMs: 6_000, detail: "it answers" }
      ])
      assert.deepStrictEqual(yield* health.states, [changes[1]!])
      assert.strictEqual(lines.length, 2)
      assert.match(lines[0]!, /^Warn: Redis is away: .*budgets refuse/u)
      assert.match(lines[1]!, /^Info: Redis is back/u)
    })
  )

  it.effect("is a gauge for each store", () =>
    Effect.gen(function* () {
      const { health } = yield* answering
      fail(health, 1, "postgres")
      const snapshot = yield* Metric.snapshot
      const values = snapshot
        .filter(({ id }) => id === "ballast_store_up")
        .map(({ attributes, state }) => [attributes?.["store"], state])
      assert.deepStrictEqual(values, [
        ["redis", { value: 1 }],
        ["postgres", { value: 0 }]
      ])
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
  )
})

import type { ServerResponse } from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as SlowClient from "../../../../src/layers/exchange/slow-client.ts"
import * as TimersWheel from "../../../../src/layers/timers/wheel.ts"
import { Timers } from "../../../../src/services/timers.ts"

const limitMs = 1_000

/** A response of which the stream holds `writableLength` bytes, `writeQueueSize` of them in the write under way. */
const stuck = Effect.gen(function* () {
  const context = yield* Layer.build(TimersWheel.layer)
  const socket = { _handle: { writeQueueSize: 100 } }
  const fake = {
    writableLength: 300,
    socket,
    cut: 0,
    destroy: () => {
      fake.cut++
    }
  }
  // All that the watch looks at.
  const response = fake as unknown as ServerResponse
  const stop = SlowClient.watch(response, Context.get(context, Timers), limitMs)
  return { fake, socket, stop }
})

describe("a client with bytes waiting for it", () => {
  it.effect("is cut once it has taken none for the limit, and not earlier", () =>
    Effect.gen(function* () {
      const { fake } = yield* stuck
      yield* TestClock.adjust(limitMs - 1)
      assert.strictEqual(fake.cut, 0)
      yield* TestClock.adjust(limitMs / 4 + 1)
      assert.strictEqual(fake.cut, 1)
    })
  )

  it.effect("is left alone as long as it takes a little, be it a part of one write", () =>
    Effect.gen(function* () {
      const { fake, socket } = yield* stuck
      for (let i = 0; i < 50; i++) {
        socket._handle.writeQueueSize--
        yield* TestClock.adjust(limitMs * 0.9)
      }
      assert.strictEqual(fake.cut, 0)
      yield* TestClock.adjust(limitMs * 1.25)
      assert.strictEqual(fake.cut, 1)
    })
  )

  it.effect("is left alone as long as it takes whole writes, where a write under way cannot be looked at", () =>
    Effect.gen(function* () {
      const { fake } = yield* stuck
      Object.assign(fake, { socket: {} })
      // From the missing number to none is a change as well.
      yield* TestClock.adjust(limitMs * 0.9)
      for (let i = 0; i < 10; i++) {
        fake.writableLength--
        yield* TestClock.adjust(limitMs * 0.9)
      }
      assert.strictEqual(fake.cut, 0)
    })
  )

  it.effect("is cut up to a quarter of the limit late, as it is looked at four times within it", () =>
    Effect.gen(function* () {
      const { fake, socket } = yield* stuck
      yield* TestClock.adjust(limitMs / 4 + 10)
      socket._handle.writeQueueSize--
      yield* TestClock.adjust(limitMs - 20)
      assert.strictEqual(fake.cut, 0)
      yield* TestClock.adjust(limitMs / 4 + 40)
      assert.strictEqual(fake.cut, 1)
    })
  )

  it.effect("is not cut once the watch is over", () =>
    Effect.gen(function* () {
      const { fake, stop } = yield* stuck
      yield* TestClock.adjust(limitMs / 2)
      stop()
      yield* TestClock.adjust(limitMs * 10)
      assert.strictEqual(fake.cut, 0)
    })
  )
})

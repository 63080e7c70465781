// One exchange against a dispatcher played by the test: wake-ups, back-pressure, giving up, lingering.
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Scheduler } from "effect"
import type { Dispatcher } from "undici"
import { Exchange, highWaterBytes } from "../../../../src/layers/transport/undici-exchange.ts"
import type { ExchangeHost } from "../../../../src/layers/transport/undici-exchange.ts"
import { TransportError } from "../../../../src/services/transport.ts"
import type { TransportResponse } from "../../../../src/services/transport.ts"

const request = { method: "POST", origin: "http://h", path: "/", headers: [], body: "" } as const

class Controller implements Dispatcher.DispatchController {
  aborted = false
  paused = false
  readonly reason = null
  pauses = 0
  abort(): void {
    this.aborted = true
  }
  pause(): void {
    this.paused = true
    this.pauses++
  }
  resume(): void {
    this.paused = false
  }
}

const setup = () => {
  const lingering = new Set<Exchange>()
  let dispatched = 0
  const host: ExchangeHost = {
    dispatcher: {
      dispatch: () => {
        dispatched++
        return true
      }
    },
    toError: (error) => new TransportError({ reason: { _tag: "Closed", detail: error.message } }),
    linger: (exchange) => lingering.add(exchange),
    lingered: (exchange) => lingering.delete(exchange)
  }
  const exchange = new Exchange(host)
  const controller = new Controller()
  return { exchange, controller, lingering, dispatched: () => dispatched }
}

/** An exchange whose headers are here. */
const opened = Effect.gen(function* () {
  const all = setup()
  const fiber = yield* Effect.forkChild(all.exchange.start(request), { startImmediately: true })
  all.exchange.onRequestStart(all.controller)
  all.exchange.onResponseStart(all.controller, 200, {})
  const response: TransportResponse = yield* Fiber.join(fiber)
  return { ...all, response }
})

const bytes = (text: string) => Buffer.from(text)
const texts = (chunks: ReadonlyArray<Uint8Array>) => chunks.map((chunk) => Buffer.from(chunk).toString())

describe("undici exchange", () => {
  it.effect("does not run the program inside undici's callbacks", () =>
    Effect.gen(function* () {
      const { controller, exchange } = setup()
      const fiber = yield* Effect.forkChild(exchange.start(request), { startImmediately: true })
      exchange.onRequestStart(controller)
      exchange.onResponseStart(controller, 200, { a: "b" })
      assert.isUndefined(fiber.pollUnsafe())
      assert.strictEqual((yield* Fiber.join(fiber)).header("a"), "b")
    })
  )

  it.effect("passes over interim answers", () =>
    Effect.gen(function* () {
      const { controller, exchange } = setup()
      const fiber = yield* Effect.forkChild(exchange.start(request), { startImmediately: true })
      exchange.onRequestStart(controller)
      exchange.onResponseStart(controller, 103, { link: "x" })
      exchange.onResponseStart(controller, 201, {})
      assert.strictEqual((yield* Fiber.join(fiber)).status, 201)
    })
  )

  it.effect("gives in one pull what came in one turn, then the end", () =>
    Effect.gen(function* () {
      const { controller, exchange, response } = yield* opened
      const fiber = yield* Effect.forkChild(response.pull, { startImmediately: true })
      exchange.onResponseData(controller, bytes("a"))
      exchange.onResponseData(controller, bytes("b"))
      assert.deepStrictEqual(texts(yield* Fiber.join(fiber)), ["a", "b"])
      exchange.onResponseEnd()
      assert.isTrue(Cause.isDone(yield* Effect.flip(response.pull)))
    })
  )

  it.effect("delivers what came before a cut", () =>
    Effect.gen(function* () {
      const { controller, exchange, response } = yield* opened
      exchange.onResponseData(controller, bytes("a"))
      exchange.onResponseError(controller, new Error("gone"))
      assert.deepStrictEqual(texts(yield* response.pull), ["a"])
      const error = yield* Effect.flip(response.pull)
      assert.isTrue(error instanceof TransportError && error.message.includes("gone"))
    })
  )

  it.effect("pauses above the mark and resumes when pulled", () =>
    Effect.gen(function* () {
      const { controller, exchange, response } = yield* opened
      exchange.onResponseData(controller, Buffer.alloc(highWaterBytes - 1))
      assert.isFalse(controller.paused)
      exchange.onResponseData(controller, bytes("x"))
      exchange.onResponseData(controller, bytes("y"))
      assert.isTrue(controller.paused)
      assert.strictEqual(controller.pauses, 1)
      assert.strictEqual((yield* response.pull).length, 3)
      assert.isFalse(controller.paused)
    })
  )

  it.effect("aborts nothing after a whole body, even twice", () =>
    Effect.gen(function* () {
      const { controller, exchange } = yield* opened
      exchange.onResponseEnd()
      exchange.close()
      exchange.close()
      assert.isFalse(controller.aborted)
    })
  )

  it.effect("aborts when its turn comes where it was given up in the queue", () =>
    Effect.gen(function* () {
      const { controller, exchange } = setup()
      const fiber = yield* Effect.forkChild(exchange.start(request), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      exchange.onRequestStart(controller)
      assert.isTrue(controller.aborted)
      exchange.onResponseError(controller, new Error("aborted"))
    })
  )

  it.effect("lets the last bytes of a finished call run out, but not too many", () =>
    Effect.gen(function* () {
      const good = yield* opened
      good.response.finish()
      good.exchange.close()
      assert.isTrue(good.lingering.has(good.exchange))
      good.exchange.onResponseData(good.controller, bytes("\n"))
      good.exchange.onResponseEnd()
      assert.strictEqual(good.lingering.size, 0)
      assert.isFalse(good.controller.aborted)

      const bad = yield* opened
      bad.response.finish()
      bad.exchange.close()
      bad.exchange.onResponseData(bad.controller, Buffer.alloc(100_000))
      assert.strictEqual(bad.lingering.size, 0)
      assert.isTrue(bad.controller.aborted)
    })
  )

  it.effect("fails, and does not hang, when read after it was given up", () =>
    Effect.gen(function* () {
      const { exchange, response } = yield* opened
      exchange.close()
      assert.isTrue((yield* Effect.flip(response.pull)) instanceof TransportError)
      assert.isTrue((yield* Effect.flip(response.text(10))) instanceof TransportError)
    })
  )

  it.effect("aborts or has ended, wherever it is interrupted", () =>
    Effect.gen(function* () {
      for (let ops = 3; ops <= 64; ops++) {
        const { controller, dispatched, exchange } = setup()
        exchange.onRequestStart(controller)
        const call = Effect.gen(function* () {
          yield* Effect.yieldNow
          const response = yield* exchange.start(request)
          yield* response.pull
          return yield* response.pull
        }).pipe(Effect.ensuring(Effect.sync(() => exchange.close())))
        const fiber = yield* Effect.forkChild(Effect.provideService(call, Scheduler.MaxOpsBeforeYield, ops))
        for (let turn = 0; turn < ops % 7; turn++) yield* Effect.yieldNow
        if (ops % 3 > 0) exchange.onResponseStart(controller, 200, {})
        if (ops % 3 > 1) exchange.onResponseData(controller, bytes("a"))
        const exit = yield* Effect.exit(Effect.andThen(Fiber.interrupt(fiber), Fiber.join(fiber)))
        assert.isTrue(Exit.isFailure(exit))
        assert.isTrue(controller.aborted || dispatched() === 0, `after ${ops} operations`)
      }
    })
  )
})

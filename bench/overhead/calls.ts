/**
 * The cost of one call, twice: in a tight loop, where every cache is warm, and
 * "in situ", where 64 callers each parse a body and wait for a socket's reply
 * around their call, which is nearer to what a server sees. Beside it cockatiel's
 * retry, breaker, bulkhead and timeout around the same asynchronous work.
 */
import { mkdtempSync, rmSync } from "node:fs"
import * as Net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  bulkhead,
  circuitBreaker,
  ConsecutiveBreaker,
  handleAll,
  retry,
  timeout,
  TimeoutStrategy,
  wrap
} from "cockatiel"
import type { Context } from "effect"
import { Effect } from "effect"
import { complete } from "../../src/programs/complete.ts"
import * as Clock from "./clock.ts"
import * as Stack from "./stack.ts"

/** µs of CPU a call, medians over the rounds; `ratio` is Ballast's policy cost over cockatiel's. */
export interface CallCost {
  readonly bare: number
  readonly ballast: number
  readonly policy: number
  readonly cockatiel: number
  readonly ratio: number
}

const microtask = () => new Promise<void>((resolve) => queueMicrotask(resolve))

const turn = () => new Promise<void>((resolve) => void setImmediate(resolve))

const cockatielStack = () =>
  wrap(
    retry(handleAll, { maxAttempts: 2 }),
    circuitBreaker(handleAll, { halfOpenAfter: 10_000, breaker: new ConsecutiveBreaker(1_000) }),
    bulkhead(100_000, 1_000),
    timeout(8_000, TimeoutStrategy.Aggressive)
  )

const minus = (x: number, y: number) => x - y

const costs = async (
  variants: Readonly<Record<"bare" | "ballast" | "plain" | "cockatiel", Clock.Variant>>,
  rounds: number,
  count: number
): Promise<CallCost> => {
  const times = await Clock.interleaved(variants, rounds, count)
  const policy = Clock.paired(times.ballast, times.bare, minus)
  const cockatiel = Clock.paired(times.cockatiel, times.plain, minus)
  return {
    bare: Clock.median(times.bare),
    ballast: Clock.median(times.ballast),
    policy: Clock.median(policy),
    cockatiel: Clock.median(cockatiel),
    ratio: Clock.median(Clock.paired(policy, cockatiel, (x, y) => x / y))
  }
}

/** Run `each` `count` times, one after the other, in one fiber. */
const inOneFiber =
  (services: Context.Context<Stack.Services>, each: Effect.Effect<unknown, unknown, Stack.Services>) =>
  (count: number) => {
    let left = count
    const loop: Effect.Effect<void, unknown, Stack.Services> = Effect.suspend(() =>
      left-- > 0 ? Effect.flatMap(each, () => loop) : Effect.void
    )
    return Effect.runPromise(Effect.provideContext(loop, services))
  }

const bareCall = Effect.scoped(Effect.suspend(() => Stack.instant.open(Stack.candidate, Stack.openRequest)))
const guardedCall = Effect.scoped(Effect.suspend(() => complete(Stack.chat, Stack.body)))

/** In a tight loop. */
export const isolated = (
  services: Context.Context<Stack.Services>,
  rounds: number,
  count: number
): Promise<CallCost> => {
  const policy = cockatielStack()
  return costs(
    {
      bare: { name: "bare", run: inOneFiber(services, bareCall) },
      ballast: { name: "ballast", run: inOneFiber(services, guardedCall) },
      plain: {
        name: "plain",
        run: async (times) => {
          for (let i = 0; i < times; i++) await microtask()
        }
      },
      cockatiel: {
        name: "cockatiel",
        run: async (times) => {
          for (let i = 0; i < times; i++) await policy.execute(microtask)
        }
      }
    },
    rounds,
    count
  )
}

const callers = 64

/** Sockets that send back what they get; one for each caller. */
interface Echo {
  readonly ask: (caller: number) => Promise<void>
  readonly close: () => void
}

const echo = async (): Promise<Echo> => {
  const folder = mkdtempSync(join(tmpdir(), "ballast-bench-"))
  const path = join(folder, "echo.sock")
  const server = Net.createServer((socket) => void socket.pipe(socket))
  await new Promise<void>((resolve) => void server.listen(path, resolve))
  const sockets = await Promise.all(
    Array.from(
      { length: callers },
      () =>
        new Promise<Net.Socket>((resolve) => {
          const socket = Net.connect(path, () => resolve(socket))
        })
    )
  )
  const waiting = sockets.map((socket, index) => {
    socket.on("data", (data) => {
      const entry = waiting[index]
      if (entry === undefined) return
      entry.missing -= data.length
      if (entry.missing <= 0) entry.done()
    })
    return { missing: 0, done: () => {} }
  })
  const size = Buffer.byteLength(Stack.body)
  return {
    ask: (caller) =>
      new Promise((resolve) => {
        const entry = waiting[caller]
        if (entry === undefined) return resolve()
        entry.missing = size
        entry.done = resolve
        sockets[caller]?.write(Stack.body)
      }),
    close: () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

/** What a server does around a call: read a body, and wait for a socket. Keeps the parsed body alive until then. */
const around = async (sockets: Echo, caller: number): Promise<unknown> => {
  const parsed: unknown = JSON.parse(Stack.body)
  await sockets.ask(caller)
  return parsed
}

const concurrently = (count: number, each: (caller: number) => Promise<unknown>) =>
  Promise.all(
    Array.from({ length: callers }, async (_, caller) => {
      for (let i = caller; i < count; i += callers) await each(caller)
    })
  )

/** Among 64 callers with work around each call. */
export const inSitu = async (
  services: Context.Context<Stack.Services>,
  rounds: number,
  count: number
): Promise<CallCost> => {
  const sockets = await echo()
  const policy = cockatielStack()
  const run = Effect.runPromiseWith(services)
  const bare = Effect.scoped(Effect.suspend(() => Stack.nextTurn.open(Stack.candidate, Stack.openRequest)))
  const inFiber = (each: Effect.Effect<unknown, unknown, Stack.Services>) => (times: number) =>
    concurrently(times, async (caller) => {
      await around(sockets, caller)
      return run(each)
    })
  try {
    return await costs(
      {
        bare: { name: "bare", run: inFiber(bare) },
        ballast: { name: "ballast", run: inFiber(guardedCall) },
        plain: {
          name: "plain",
          run: (times) => concurrently(times, async (caller) => (await around(sockets, caller), turn()))
        },
        cockatiel: {
          name: "cockatiel",
          run: (times) => concurrently(times, async (caller) => (await around(sockets, caller), policy.execute(turn)))
        }
      },
      rounds,
      count
    )
  } finally {
    sockets.close()
  }
}

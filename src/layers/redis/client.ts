/**
 * The fleet's Redis, as the other layers use it: every answer bounded in time,
 * every error typed, every trouble told to `StoreHealth`, and all keys under
 * one prefix.
 *
 * The prefix is a hash tag (`{ballast}:…`): all keys of a deployment are in one
 * slot, so that one script may touch any of them, on a cluster too. One Redis
 * node carries a dozen gateway processes (docs/decisions/0018); deployments
 * that need more use several prefixes.
 */
import { createHash } from "node:crypto"
import { Context, Deferred, Effect, Layer, Queue } from "effect"
import type { Scope } from "effect"
import { Redis } from "effect/persistence"
import type { RedisConfig } from "../../domain/config.ts"
import type { StoreError } from "../../domain/errors.ts"
import * as Guard from "../../services/guard.ts"
import { StoreHealth } from "../../services/store-health.ts"
import { Timers } from "../../services/timers.ts"
import * as Errors from "./errors.ts"
import * as Ioredis from "./ioredis.ts"

/** A Lua script with its digest. */
export interface Script {
  readonly lua: string
  readonly sha: string
}

/** A script; make it once for each module. */
export const script = (lua: string): Script => ({ lua, sha: createHash("sha1").update(lua).digest("hex") })

/** Called once: with an answer, or with the error. */
export type Done<A> = (error: StoreError | undefined, value: A | undefined) => void

/** Typed access to the fleet's Redis. */
export class RedisClient extends Context.Service<
  RedisClient,
  {
    /** The same connection as `effect/persistence` knows it, for subscriptions, blocking commands and Effect's own modules. */
    readonly redis: Redis.Redis["Service"]
    /** The full name of a key. */
    readonly key: (name: string) => string
    /** One command. */
    readonly send: <A = unknown>(command: string, ...args: ReadonlyArray<string>) => Effect.Effect<A, StoreError>
    /** One script. */
    readonly run: <A>(
      script: Script,
      keys: ReadonlyArray<string>,
      args: ReadonlyArray<string | number>
    ) => Effect.Effect<A, StoreError>
    /**
     * {@link run} for the hot path: acts at once; `done` is called once, never before this returns. `other`: over
     * another connection than the usual one, for a command that is sent again because its answer does not come.
     */
    readonly runUnsafe: (
      script: Script,
      keys: ReadonlyArray<string>,
      args: ReadonlyArray<string | number>,
      done: Done<unknown>,
      other?: boolean
    ) => void
    /** False while Redis is known to be down: do not wait for it. */
    readonly usable: () => boolean
    /** Whether Redis is known to be down; takes nobody's turn to probe it. */
    readonly down: () => boolean
    /** Longest wait for an answer, in ms. */
    readonly timeoutMs: number
    /** `listener` is called each time a connection has been made, the first one included if it comes later. */
    readonly onConnected: (listener: () => void) => void
  }
>()("ballast/layers/redis/RedisClient") {}

/** A command that waits for its answer. */
interface Waiting {
  readonly atMs: number
  done: Done<unknown> | undefined
}

/** Longest that building the layer waits for the first connection; a Redis that is away is no reason not to start. */
const firstConnectionMs = 1_000

const plain =
  (to: Ioredis.Connection) =>
  <A>(command: string, ...args: ReadonlyArray<string>) =>
    Effect.callback<A, Redis.RedisError>((resume) =>
      to.call(command, args, (error, value) =>
        // As above.
        resume(error === undefined ? Effect.succeed(value as A) : Effect.fail(new Redis.RedisError({ cause: error })))
      )
    )

const asEffect = <A>(act: (done: Done<unknown>) => void): Effect.Effect<A, StoreError> =>
  Effect.callback((resume) =>
    act((error, value) =>
      // What a script or a command returns is known to whoever wrote it.
      resume(error === undefined ? Effect.succeed(value as A) : Effect.fail(error))
    )
  )

/** A client over ioredis. Closes with the scope. */
export const make = Effect.fnUntraced(function* (config: RedisConfig) {
  const timers = yield* Timers
  const health = yield* StoreHealth
  const { prefix, timeoutMs } = config
  const opened = Effect.acquireRelease(
    Effect.sync(() => Ioredis.connect(config, true)),
    (open) =>
      Effect.sync(() => {
        // What fails from here on was cut by us, and says nothing about the store.
        closed = true
        open.close()
      })
  )
  let closed = false
  const connection = yield* opened
  // A reply that is late holds up all that follow it on its connection.
  const spare = yield* opened

  // All commands have the same time, so they run out in the order in which they were sent: one timer for all of them.
  const waiting: Array<Waiting> = []
  let oldest = 0
  // Answers that have come while this process was busy are read first.
  const timer = timers.make(() => connection.afterReading(expire))
  const expire = (): void => {
    const now = timers.now()
    while (oldest < waiting.length) {
      const next = waiting[oldest]!
      if (next.done !== undefined) {
        if (next.atMs > now) break
        settle(next, Errors.timedOut(timeoutMs), undefined)
      }
      oldest++
    }
    tidy()
    const next = waiting[oldest]
    if (next !== undefined) timer.arm(next.atMs)
  }
  /** Forget the answered ones at the front. */
  const tidy = (): void => {
    while (oldest < waiting.length && waiting[oldest]!.done === undefined) oldest++
    if (oldest === waiting.length) {
      waiting.length = 0
      oldest = 0
    } else if (oldest > 1_024) {
      waiting.splice(0, oldest)
      oldest = 0
    }
  }
  const settle = (entry: Waiting, error: StoreError | undefined, value: unknown): void => {
    const { done } = entry
    if (done === undefined) return
    entry.done = undefined
    if (closed) return done(error, value)
    if (error === undefined) health.ok("redis")
    else if (Errors.isTrouble(error)) health.failed("redis", error.reason._tag)
    done(error, value)
  }
  const call = (command: string, args: ReadonlyArray<string>, done: Done<unknown>, over = connection): void => {
    const entry: Waiting = { atMs: timers.now() + timeoutMs, done }
    waiting.push(entry)
    if (waiting.length - oldest === 1) timer.arm(entry.atMs)
    over.call(command, args, (error, value) => {
      settle(entry, error === undefined ? undefined : Guard.refusal(() => Errors.errorOf(error)), value)
      tidy()
    })
  }

  const runUnsafe: RedisClient["Service"]["runUnsafe"] = ({ lua, sha }, keys, args, done, other = false) => {
    const over = other && spare.ready() ? spare : connection
    const rest = [String(keys.length), ...keys, ...args.map(String)]
    const told: Done<unknown> = (error, value) => {
      const unknown = error?.reason._tag === "Script" && error.reason.detail.startsWith("NOSCRIPT")
      if (unknown) call("EVAL", [lua, ...rest], done, over)
      else done(error, value)
    }
    call("EVALSHA", [sha, ...rest], told, over)
  }
  const send = <A>(command: string, ...args: ReadonlyArray<string>) => asEffect<A>((done) => call(command, args, done))

  const redis = yield* Redis.make({
    send: (command, ...args) => Effect.mapError(send(command, ...args), (cause) => new Redis.RedisError({ cause })),
    subscribe: Effect.fnUntraced(function* (channel, onMessage) {
      const own = yield* Effect.acquireRelease(
        Effect.sync(() => Ioredis.connect(config, false)),
        (open) => Effect.sync(open.close)
      )
      yield* connected(own, Infinity)
      yield* Effect.tryPromise({
        try: () => own.subscribe(channel, (from, message) => onMessage({ channel: from, message })),
        catch: (cause) => new Redis.RedisError({ cause })
      })
      return Effect.never
    }),
    connect: Effect.gen(function* () {
      const own = Ioredis.connect(config, false)
      yield* connected(own, firstConnectionMs)
      return { send: plain(own), close: Effect.sync(own.close) }
    })
  })

  yield* connected(connection, firstConnectionMs)
  return RedisClient.of({
    redis,
    key: (name) => `{${prefix}}:${name}`,
    send,
    run: (of, keys, args) => asEffect((done) => runUnsafe(of, keys, args, done)),
    runUnsafe,
    usable: () => health.usable("redis"),
    down: () => health.down("redis"),
    timeoutMs,
    onConnected: (listener) => connection.on("ready", listener)
  })
})

/** Succeeds when the connection can be used, or after `most` ms. */
const connected = (connection: Ioredis.Connection, most: number): Effect.Effect<void> => {
  const ready = Effect.callback<void>((resume) => {
    if (connection.ready()) resume(Effect.void)
    else connection.on("ready", () => resume(Effect.void))
  })
  return most === Infinity ? ready : Effect.asVoid(Effect.timeoutOption(ready, most))
}

/** {@link make} as a layer. It never fails: a Redis that is away is told to `StoreHealth`, and used once it is back. */
export const layer = (config: RedisConfig): Layer.Layer<RedisClient, never, StoreHealth | Timers> =>
  Layer.effect(RedisClient, make(config))

/**
 * Everything said on a channel, for as long as the scope lives; the messages
 * are handed on as they come. Returns once the channel is heard; where Redis is
 * away, after a second, and the channel is heard once it is back.
 */
export const listen = (
  client: RedisClient["Service"],
  channel: string,
  onMessage: (message: string) => void
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const heard = yield* Deferred.make<void>()
    const pump = Effect.gen(function* () {
      const queue = yield* client.redis.subscribe(channel)
      Deferred.doneUnsafe(heard, Effect.void)
      return yield* Effect.forever(Effect.map(Queue.take(queue), ({ message }) => onMessage(message)))
    })
    yield* Effect.forkScoped(Effect.ignore(pump))
    yield* Effect.timeoutOption(Deferred.await(heard), firstConnectionMs)
  })

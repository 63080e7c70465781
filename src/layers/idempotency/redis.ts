/**
 * Idempotency over all processes by Redis.
 *
 * - a run's mark in Redis lives for `leaseMs` and is renewed at a third of that: a killed holder's key is free again
 *   when it runs out. A holder that slept longer than that keeps no answer where another has the key meanwhile
 * - the answer is kept in this process until it is whole and then stored at once: there is never half of one
 * - while Redis is away, what this process knows decides. Its runs take their keys in Redis, and its answers go there,
 *   once Redis is back; whoever has answered meanwhile stays right
 */
import { Clock, Context, Effect, Exit, Layer, Random, Result, Schema, Scope } from "effect"
import type { IdempotencyError } from "../../domain/errors.ts"
import { Idempotency } from "../../services/idempotency.ts"
import type { IdempotentReplay, IdempotentRun, StoredAnswer } from "../../services/idempotency.ts"
import { Timers } from "../../services/timers.ts"
import type { Timer } from "../../services/timers.ts"
import { RedisClient } from "../redis/client.ts"
import { Entries } from "./entries.ts"
import { idOf } from "./keys.ts"
import { defaults, inFlightPauseMs } from "./limits.ts"
import type { Limits } from "./limits.ts"
import * as Lua from "./lua.ts"
import * as Memory from "./memory.ts"
import { Recording } from "./recording.ts"

/** An answer as text: status, headers, pieces of the body. */
const Answer = Schema.fromJsonString(
  Schema.Tuple([Schema.Int, Schema.Array(Schema.String), Schema.Array(Schema.String)])
)
const decode = Schema.decodeUnknownResult(Answer)
const encode = ({ body, headers, status }: StoredAnswer): string => JSON.stringify([status, headers, body])

/** What all runs of a process share. */
interface Shared {
  readonly entries: Entries
  readonly limits: Limits
  readonly client: RedisClient["Service"]
  readonly timers: Timers["Service"]
  readonly now: () => number
}

/** A run under a key of the fleet. */
class RedisRun implements IdempotentRun {
  readonly _tag = "Run"
  private readonly shared: Shared
  private readonly id: string
  private readonly fingerprint: string
  private readonly fence: string
  private readonly recording: Recording
  private readonly timer: Timer
  /** `running`; `answered`: its answer is here and not yet in Redis; `closed`: there is nothing left to do. */
  private state: "running" | "answered" | "closed" = "running"
  private answer: StoredAnswer | undefined

  constructor(shared: Shared, id: string, fingerprint: string, fence: string) {
    this.shared = shared
    this.id = id
    this.fingerprint = fingerprint
    this.fence = fence
    this.recording = new Recording(shared.limits.answerBytes)
    this.timer = shared.timers.make(() => this.tend())
    shared.entries.take(id, fingerprint)
    this.later()
  }

  begin(status: number, headers: ReadonlyArray<string>): void {
    this.recording.begin(status, headers)
  }

  append(data: string): void {
    this.recording.append(data)
  }

  complete(): void {
    if (this.state !== "running") return
    const { entries, now } = this.shared
    this.answer = this.recording.answer()
    if (this.answer === undefined) return this.release()
    this.state = "answered"
    // Whoever comes here before Redis has it is answered from memory.
    entries.keep(this.id, this.fingerprint, this.answer, this.recording.size, now())
    this.store()
  }

  /** Free the key, unless it is answered. */
  release(): void {
    if (this.state !== "running") return
    this.close()
    this.shared.entries.free(this.id)
    // Where Redis is away the mark runs out by itself.
    if (this.shared.client.usable()) this.run(Lua.release, [this.fence], () => {})
  }

  /** Another has the key, or has answered: nothing of this run is in Redis. */
  yield(): void {
    if (this.state !== "running") return
    this.close()
    this.shared.entries.free(this.id)
  }

  /** Take the key in Redis; also a renewal. */
  take(done: (reply: ReadonlyArray<unknown> | undefined) => void): void {
    this.run(Lua.begin, [this.fingerprint, this.fence, this.shared.limits.leaseMs], (value) =>
      done(Array.isArray(value) ? value : undefined)
    )
  }

  /** What is due at a third of the mark's life. */
  private tend(): void {
    const { client, entries } = this.shared
    if (this.state === "closed") return
    // Turned out of memory before Redis was back: too much time has passed, or too many others have come.
    if (this.state === "answered" && !entries.has(this.id)) return this.close()
    if (!client.usable()) return this.later()
    if (this.state === "answered") return this.store()
    this.take(() => {
      // Where another has the key by now, this answer will not be kept; until then nothing needs to change.
      if (this.state === "running") this.later()
    })
  }

  /** Bring the answer to Redis; what fails is tried again later. */
  private store(): void {
    const { entries, limits } = this.shared
    if (this.answer === undefined) return
    this.timer.disarm()
    const args = [this.fingerprint, this.fence, encode(this.answer), limits.lifeMs]
    this.run(Lua.complete, args, (kept) => {
      if (kept === undefined) return this.later()
      // In Redis it is everybody's; memory is for what Redis has not.
      entries.forget(this.id)
      this.close()
    })
  }

  private later(): void {
    const { limits, timers } = this.shared
    this.timer.arm(timers.now() + limits.leaseMs / 3)
  }

  private close(): void {
    this.state = "closed"
    this.answer = undefined
    this.timer.disarm()
  }

  /** `done` gets `undefined` where Redis did not do it, or nobody knows whether it did. */
  private run(
    script: (typeof Lua)[keyof typeof Lua],
    args: ReadonlyArray<string | number>,
    done: (value: unknown) => void
  ): void {
    const { client } = this.shared
    client.runUnsafe(script, [client.key(`idem:${this.id}`)], args, (error, value) =>
      done(error === undefined ? value : undefined)
    )
  }
}

/** The port over Redis; `limits` over {@link defaults}. */
export const make = Effect.fnUntraced(function* (limits: Partial<Limits> = {}) {
  const client = yield* RedisClient
  const timers = yield* Timers
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const all: Limits = { ...defaults, ...limits }
  const now = () => clock.currentTimeMillisUnsafe()
  const shared: Shared = { entries: new Entries(all), limits: all, client, timers, now }
  const newFence = () => `${random.nextIntUnsafe()}.${random.nextIntUnsafe()}`

  return Idempotency.of({
    begin: (tenant, key, fingerprint) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.contextWith((context: Context.Context<Scope.Scope>): Memory.Begun => {
          const id = idOf(tenant, key)
          const known = Memory.verdict(shared.entries.find(id, fingerprint, now()))
          if (known !== undefined) return known
          const run = new RedisRun(shared, id, fingerprint, newFence())
          return Effect.andThen(Memory.held(run, context), client.usable() ? restore(ask(run)) : Exit.succeed(run))
        })
      )
  })
})

/** Ask Redis for the key of a run. */
const ask = (run: RedisRun): Memory.Begun =>
  Effect.callback((resume) => run.take((reply) => resume(answerOf(run, reply))))

/** What comes of a run that has asked for its key. */
const answerOf = (
  run: RedisRun,
  reply: ReadonlyArray<unknown> | undefined
): Exit.Exit<IdempotentRun | IdempotentReplay, IdempotencyError> => {
  switch (reply?.[0]) {
    case "running":
      run.yield()
      return Memory.refuse({ _tag: "InFlight" }, Math.max(1, Math.min(inFlightPauseMs, Number(reply[1]))))
    case "other":
      run.yield()
      return Memory.refuse({ _tag: "OtherBody" })
    case "answered": {
      const decoded = decode(reply[1])
      // What nobody can read is no answer: the request runs, and its own answer is not kept.
      if (Result.isFailure(decoded)) return Exit.succeed(run)
      run.yield()
      const [status, headers, body] = decoded.success
      return Exit.succeed({ _tag: "Replay", answer: { status, headers, body } })
    }
    default:
      // It has the key; or Redis did not say, and this process's own knowledge decides.
      return Exit.succeed(run)
  }
}

/** {@link make} as a layer. */
export const layer = (limits: Partial<Limits> = {}): Layer.Layer<Idempotency, never, RedisClient | Timers> =>
  Layer.effect(Idempotency, make(limits))

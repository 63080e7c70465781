/**
 * The shared alarm clock: buckets of one resolution, the earliest of which one
 * sleeping fiber waits for.
 *
 * A hashed wheel after Varghese and Lauck, "Hashed and Hierarchical Timing
 * Wheels" (SOSP 1987), with a heap of the occupied ticks instead of a turning
 * hand, so that nothing runs while nothing is due. Node's http and undici's
 * fast timers coarsen their timeouts for the same reason: nearly every timeout
 * is disarmed long before it rings.
 *
 * - arming takes a place in a bucket's linked list; arming again for later is one field write, and the timer moves when
 *   its old bucket comes up
 * - disarming unlinks at once, so that a finished request is not held in memory until its timeout would have been
 * - the sleeper wakes at the earliest bucket even when that has become empty meanwhile, and ends when nothing is armed:
 *   restarting it for each request would cost more than one idle wake-up
 *
 * Times are those of Effect's Clock. Should the wall clock be set back, timers
 * ring late by as much, never early.
 */
import { Clock, Context, Duration, Effect, Fiber, Layer } from "effect"
import type { Timer } from "../../services/timers.ts"
import { Timers } from "../../services/timers.ts"
import * as TickHeap from "./tick-heap.ts"

/** Settings of the wheel. */
export interface WheelOptions {
  /** Width of a bucket in ms: a timer rings up to this much late, never early. 10 by default. */
  readonly resolutionMs?: number | undefined
}

/** Longest single sleep in ms. Node's timers overflow past 2^31 - 1; waking once an hour costs nothing. */
const maxSleepMs = 3_600_000

/** All timers that share a tick, as a doubly linked list. */
class Bucket {
  readonly tick: number
  head: Entry | undefined
  constructor(tick: number) {
    this.tick = tick
    this.head = undefined
  }
}

class Entry implements Timer {
  private readonly wheel: Wheel
  readonly onExpire: () => void
  /** The tick at which to ring; `Infinity` when disarmed. */
  target: number
  bucket: Bucket | undefined
  prev: Entry | undefined
  next: Entry | undefined

  constructor(wheel: Wheel, onExpire: () => void) {
    this.wheel = wheel
    this.onExpire = onExpire
    this.target = Infinity
    this.bucket = undefined
    this.prev = undefined
    this.next = undefined
  }

  arm(atMs: number): void {
    const tick = Math.ceil(atMs / this.wheel.resolutionMs)
    if (!(tick < Infinity)) return this.disarm()
    this.target = tick
    if (this.bucket !== undefined) {
      if (this.bucket.tick <= tick) return
      this.unlink()
    }
    this.wheel.insert(this)
  }

  disarm(): void {
    this.target = Infinity
    if (this.bucket !== undefined) this.unlink()
  }

  link(bucket: Bucket): void {
    const head = bucket.head
    this.bucket = bucket
    this.next = head
    if (head !== undefined) head.prev = this
    bucket.head = this
    this.wheel.armed++
  }

  unlink(): void {
    const { bucket, next, prev } = this
    if (bucket === undefined) return
    if (prev === undefined) bucket.head = next
    else prev.next = next
    if (next !== undefined) next.prev = prev
    this.bucket = undefined
    this.prev = undefined
    this.next = undefined
    this.wheel.armed--
  }
}

class Wheel {
  readonly resolutionMs: number
  /** Timers that are in a bucket. */
  armed = 0
  private readonly clock: Clock.Clock
  private readonly context: Context.Context<never>
  private readonly buckets = new Map<number, Bucket>()
  private readonly ticks = TickHeap.make()
  private sleeper: Fiber.Fiber<void> | undefined
  /** The tick the sleeper waits for; `Infinity` without a sleeper. */
  private wakeTick = Infinity
  private ringing = false
  /** The tick that rings now: while it does, nothing more is put there, or a callback that arms for now would loop. */
  private ringingTick = -Infinity
  private closed = false

  constructor(clock: Clock.Clock, context: Context.Context<never>, resolutionMs: number) {
    this.clock = clock
    this.context = context
    this.resolutionMs = resolutionMs
  }

  insert(entry: Entry): void {
    if (this.closed) return
    const tick = this.ringing ? Math.max(entry.target, this.ringingTick + 1) : entry.target
    let bucket = this.buckets.get(tick)
    if (bucket === undefined) {
      bucket = new Bucket(tick)
      this.buckets.set(tick, bucket)
      TickHeap.push(this.ticks, tick)
    }
    entry.link(bucket)
    if (tick < this.wakeTick && !this.ringing) this.sleepUntil(tick)
  }

  private sleepUntil(tick: number): void {
    const late = this.sleeper
    this.wakeTick = tick
    this.sleeper = undefined
    late?.interruptUnsafe()
    // A fiber of its own: `arm` is called inside other fibers' synchronous steps and must not depend on them.
    this.sleeper = Effect.runForkWith(this.context)(this.pause(tick))
  }

  private pause(tick: number): Effect.Effect<void> {
    const ms = tick * this.resolutionMs - this.clock.currentTimeMillisUnsafe()
    // A time that has passed rings in the scheduler's next turn, never inside `arm` itself.
    const pause = ms > 0 ? this.clock.sleep(Duration.millis(Math.min(ms, maxSleepMs))) : Effect.yieldNow
    return Effect.flatMap(pause, () => this.turn)
  }

  /** Ring what is due; a callback that throws is reported, and the rest of the due timers still ring. */
  private readonly turn: Effect.Effect<void> = Effect.suspend(() => {
    this.ringing = true
    return Effect.flatMap(
      Effect.catchDefect(
        Effect.sync(() => this.ring()),
        (defect) => Effect.as(Effect.logError("A timer's callback threw", defect), false)
      ),
      (finished) => (finished ? this.rest : this.turn)
    )
  })

  private ring(): boolean {
    const now = Math.floor(this.clock.currentTimeMillisUnsafe() / this.resolutionMs)
    this.ringingTick = now
    while (TickHeap.peek(this.ticks) <= now) {
      const tick = TickHeap.peek(this.ticks)
      let entry = this.buckets.get(tick)?.head
      while (entry !== undefined) {
        entry.unlink()
        if (entry.target > now) {
          this.insert(entry)
        } else {
          entry.target = Infinity
          entry.onExpire()
        }
        // Read again: the callback may have disarmed any other timer of this bucket.
        entry = this.buckets.get(tick)?.head
      }
      this.buckets.delete(tick)
      TickHeap.pop(this.ticks)
    }
    return true
  }

  private readonly rest: Effect.Effect<void> = Effect.suspend(() => {
    this.ringing = false
    if (this.armed === 0) {
      this.buckets.clear()
      TickHeap.clear(this.ticks)
      this.wakeTick = Infinity
      this.sleeper = undefined
      return Effect.void
    }
    this.wakeTick = TickHeap.peek(this.ticks)
    return this.pause(this.wakeTick)
  })

  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    this.closed = true
    return this.sleeper === undefined ? Effect.void : Fiber.interrupt(this.sleeper)
  })
}

/** A wheel over the current Clock; it rests when the scope closes, and timers armed after that never ring. */
export const make = Effect.fnUntraced(function* (options?: WheelOptions) {
  const clock = yield* Clock.Clock
  const context = yield* Effect.context<never>()
  const wheel = new Wheel(clock, context, options?.resolutionMs ?? 10)
  yield* Effect.addFinalizer(() => wheel.close)
  return Timers.of({
    now: () => clock.currentTimeMillisUnsafe(),
    make: (onExpire) => new Entry(wheel, onExpire)
  })
})

/** {@link make} as a layer. */
export const layerWith = (options?: WheelOptions): Layer.Layer<Timers> => Layer.effect(Timers, make(options))

/** Timers with a resolution of 10 ms. */
export const layer: Layer.Layer<Timers> = layerWith()

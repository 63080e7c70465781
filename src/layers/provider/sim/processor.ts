/**
 * A processor that its jobs share equally (Kleinrock, "Time-shared systems",
 * JACM 1967): up to `capacity` jobs run at full speed, beyond it each gets
 * `capacity / jobs` of it, and a change takes effect on all of them at once.
 *
 * It keeps one clock of work done, which ticks as fast as each job advances.
 * A job's deadlines are fixed on that clock when it begins and never move, so
 * one heap orders them all, whatever the speed does; one sleeping fiber waits
 * for the earliest. Time comes from Effect's `Clock` alone.
 *
 * Unit: milliseconds, of time at full speed on the clock of work.
 */
import { Clock, Duration, Effect, Fiber } from "effect"
import type { Scope } from "effect"
import * as Heap from "./heap.ts"

/** Work closer than this counts as done: less than a timer can tell apart, more than a double's error at today's epoch. */
export const epsilonMs = 1e-3

/** How many jobs run at full speed, over time. */
export interface Capacity {
  /** From `atMs` (epoch) on. */
  readonly at: (atMs: number) => number
  /** The next change after `atMs`, or `Infinity`. */
  readonly nextChange: (atMs: number) => number
}

/** A job on the processor. */
export interface Job extends Heap.Entry {
  /** Whether it still takes a share. */
  working: boolean
}

/** See the module's comment. Its methods are plain functions: they run inside other synchronous steps. */
export interface Processor {
  /** Epoch ms, never going back. */
  readonly now: () => number
  /** The clock of work, brought up to date. */
  readonly work: () => number
  /** Take a share until the clock of work shows `until`; then `onDone` runs, outside any fiber. */
  readonly begin: (until: number, onDone: () => void) => Job
  /** Give the share back early; `onDone` will not run. */
  readonly stop: (job: Job) => void
  /** Wait until the clock of work shows `until`. */
  readonly wait: (until: number) => Effect.Effect<void>
  /** Read the capacity again, because it changed outside its own timetable. */
  readonly refresh: () => void
}

/** A processor; its sleeping fiber ends with the scope. */
export const make = Effect.fnUntraced(function* (capacity: Capacity): Effect.fn.Return<Processor, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const run = Effect.runForkWith(yield* Effect.context<never>())

  const heap = Heap.make()
  let ready: Array<Heap.Entry> = []
  let jobs = 0
  let done = 0
  let last = clock.currentTimeMillisUnsafe()
  let places = capacity.at(last)
  let change = capacity.nextChange(last)
  let sleeper: Fiber.Fiber<void> | undefined
  let sleepsUntil = Infinity
  let closed = false

  const speed = () => (jobs <= places ? 1 : places / jobs)

  const dueAt = (entry: Heap.Entry) => {
    const left = entry.at - done
    return left <= epsilonMs ? last : last + left / speed()
  }

  // Step from event to event: between two of them the speed is constant.
  const advance = () => {
    const now = Math.max(last, clock.currentTimeMillisUnsafe())
    for (;;) {
      const next = Heap.peek(heap)
      const due = next === undefined ? Infinity : dueAt(next)
      if (next !== undefined && due <= now + epsilonMs && due <= change) {
        Heap.pop(heap)
        done = Math.max(done, next.at)
        last = Math.min(due, now)
        if (next.inline) next.onDue()
        else ready.push(next)
      } else if (change <= now) {
        done += (change - last) * speed()
        last = change
        places = capacity.at(last)
        change = capacity.nextChange(last)
      } else {
        done += (now - last) * speed()
        last = now
        return
      }
    }
  }

  const fire = () => {
    sleeper = undefined
    sleepsUntil = Infinity
    advance()
    while (ready.length > 0) {
      const batch = ready
      ready = []
      for (const entry of batch) if (!entry.cancelled) entry.onDue()
    }
    arm()
  }

  // Waking too early costs one look; only an earlier deadline needs a new sleep.
  const arm = () => {
    const next = Heap.peek(heap)
    if (closed || (next === undefined && ready.length === 0)) return
    const until = ready.length > 0 || next === undefined ? last : Math.min(dueAt(next), change)
    if (until === Infinity || until >= sleepsUntil) return
    sleeper?.interruptUnsafe()
    sleepsUntil = until
    sleeper = run(Effect.andThen(clock.sleep(Duration.millis(Math.max(epsilonMs, until - last))), Effect.sync(fire)))
  }

  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      closed = true
      return sleeper === undefined ? Effect.void : Fiber.interrupt(sleeper)
    })
  )

  return {
    now: () => {
      advance()
      return last
    },
    work: () => {
      advance()
      return done
    },
    begin: (until, onDone) => {
      advance()
      const job: Job = Object.assign(
        Heap.entry(until, true, () => {
          job.working = false
          jobs--
          onDone()
        }),
        { working: true }
      )
      jobs++
      Heap.push(heap, job)
      arm()
      return job
    },
    stop: (job) => {
      advance()
      if (!job.working) return
      job.working = false
      Heap.cancel(heap, job)
      jobs--
      arm()
    },
    wait: (until) =>
      Effect.callback((resume) => {
        advance()
        if (until - done <= epsilonMs) return resume(Effect.void)
        const entry = Heap.entry(until, false, () => resume(Effect.void))
        Heap.push(heap, entry)
        arm()
        return Effect.sync(() => Heap.cancel(heap, entry))
      }),
    refresh: () => {
      advance()
      places = capacity.at(last)
      change = capacity.nextChange(last)
      arm()
    }
  }
})

/**
 * Virtual time: an effect runs to its end in one synchronous call, in which
 * hours may pass. A clock of its own over a heap of sleepers, and a scheduler
 * of its own whose tasks are all run before time moves on to the earliest
 * sleeper: nothing depends on the speed of the machine, on promises or on the
 * event loop, so the same effect does the same every time.
 *
 * It is discrete-event simulation in the textbook's form (next-event time
 * advance; Law, "Simulation Modeling and Analysis", section 1.3). Everything
 * that takes its time from Effect's `Clock` works in it: sleeps, timeouts,
 * forked daemons, the timer wheel, the simulated provider. Anything that waits
 * for the outside world would wait for ever; that is found, and is a defect.
 */
import { Cause, Clock, Context, Duration, Effect, Exit, Scheduler, Schema } from "effect"
import type { Fiber } from "effect"
import * as Heap from "../../layers/provider/sim/heap.ts"

/** Why a run could not go on. A defect: the effect, not its input, is wrong. */
export class VirtualTimeError extends Schema.TaggedError<VirtualTimeError>()("VirtualTimeError", {
  reason: Schema.Literals(["Deadlock", "Endless", "Busy"]),
  /** How late it was in virtual time, in ms. */
  atMs: Schema.Finite
}) {
  override get message(): string {
    const at = `at ${Math.round(this.atMs)} ms of virtual time`
    switch (this.reason) {
      case "Deadlock":
        return `The run can never end: ${at} nothing was left to do and nobody slept. It waits for something outside of virtual time.`
      case "Endless":
        return `The run was still not over ${at}; it was stopped.`
      case "Busy":
        return `Time stood still ${at}: tasks made tasks without end.`
    }
  }
}

/**
 * Bounds of a run.
 *
 * - `untilMs`: when a run that is still going has no end; 32 days by default
 * - `maxTasks`: most tasks at one moment; 10 million by default
 */
export interface Options {
  readonly untilMs?: number | undefined
  readonly maxTasks?: number | undefined
}

const nanosPerMilli = 1_000_000

/**
 * Time moves in steps of a microsecond: finer than anything real, and coarse
 * enough that the rest of a wait is never lost in a double or in a `Duration`
 * (nanoseconds), which would make a fiber wait for the same moment for ever.
 */
const stepsPerMilli = 1_000
const onGrid = (ms: number) => Math.ceil(ms * stepsPerMilli - 1e-3) / stepsPerMilli

/** The clock. Time starts at epoch ms 0 and moves only between tasks. */
class VirtualClock implements Clock.Clock {
  now = 0
  readonly sleepers = Heap.make()

  currentTimeMillisUnsafe(): number {
    return this.now
  }
  readonly currentTimeMillis = Effect.sync(() => this.now)
  currentTimeNanosUnsafe(): bigint {
    return BigInt(Math.floor(this.now * nanosPerMilli))
  }
  readonly currentTimeNanos = Effect.sync(() => this.currentTimeNanosUnsafe())
  monotonicTimeNanosUnsafe(): bigint {
    return this.currentTimeNanosUnsafe()
  }
  readonly monotonicTimeNanos = this.currentTimeNanos

  sleep(duration: Duration.Duration): Effect.Effect<void> {
    const ms = Duration.toMillis(duration)
    if (!(ms > 0)) return Effect.yieldNow
    if (ms === Infinity) return Effect.never
    return Effect.callback((resume) => {
      // However short, a sleep moves time on: by a step at least.
      const at = Math.max(onGrid(this.now + ms), onGrid(this.now + 1 / stepsPerMilli))
      const entry = Heap.entry(at, false, () => resume(Effect.void))
      Heap.push(this.sleepers, entry)
      return Effect.sync(() => Heap.cancel(this.sleepers, entry))
    })
  }
}

/** Tasks of one priority, in the order they came. */
interface Lane {
  readonly priority: number
  tasks: Array<() => void>
  next: number
}

/** One queue for all fibers of a run: lower priority numbers first, first come first served among equal ones. */
class RunQueue implements Scheduler.Scheduler, Scheduler.SchedulerDispatcher {
  readonly executionMode = "sync"
  private readonly lanes: Array<Lane> = [{ priority: 0, tasks: [], next: 0 }]

  shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    return fiber.currentOpCount >= fiber.cache.maxOpsBeforeYield
  }

  makeDispatcher(): Scheduler.SchedulerDispatcher {
    return this
  }

  scheduleTask(task: () => void, priority: number): void {
    let at = 0
    while (at < this.lanes.length && (this.lanes[at]?.priority ?? 0) < priority) at++
    const lane = this.lanes[at]
    if (lane?.priority === priority) lane.tasks.push(task)
    else this.lanes.splice(at, 0, { priority, tasks: [task], next: 0 })
  }

  /** The next task, or `undefined` when there is none. */
  take(): (() => void) | undefined {
    for (const lane of this.lanes) {
      const task = lane.tasks[lane.next]
      if (task === undefined) continue
      lane.next++
      if (lane.next === lane.tasks.length) {
        lane.tasks = []
        lane.next = 0
      }
      return task
    }
    return undefined
  }

  /** Run tasks until there are none, at most `most`; how many it ran. */
  drain(most: number): number {
    let count = 0
    for (let task = this.take(); task !== undefined; task = this.take()) {
      task()
      if (++count >= most) break
    }
    return count
  }

  flush(): void {
    this.drain(Infinity)
  }
}

/** Run `effect` to its end in virtual time. See the module's comment. */
export const run = <A, E>(effect: Effect.Effect<A, E>, options: Options = {}): Exit.Exit<A, E> => {
  const untilMs = options.untilMs ?? 32 * 86_400_000
  const maxTasks = options.maxTasks ?? 10_000_000
  const clock = new VirtualClock()
  const queue = new RunQueue()
  const stopped = (reason: VirtualTimeError["reason"]) => Exit.die(new VirtualTimeError({ reason, atMs: clock.now }))
  const context = Context.make(Clock.Clock, clock).pipe(Context.add(Scheduler.Scheduler, queue))
  const main = Effect.runForkWith(context)(effect)
  let tasks = 0
  for (;;) {
    tasks += queue.drain(maxTasks - tasks)
    if (tasks >= maxTasks) return stopped("Busy")
    const done = main.pollUnsafe()
    if (done !== undefined) return done
    const next = Heap.pop(clock.sleepers)
    if (next === undefined) return stopped("Deadlock")
    if (next.at > untilMs) return stopped("Endless")
    if (next.at > clock.now) {
      clock.now = next.at
      tasks = 0
    }
    next.onDue()
  }
}

/** The value of a run that must succeed; whatever it failed with is thrown, for then the program is wrong. */
export const runOrThrow = <A>(effect: Effect.Effect<A>, options: Options = {}): A => {
  const exit = run(effect, options)
  if (Exit.isSuccess(exit)) return exit.value
  throw Cause.squash(exit.cause)
}

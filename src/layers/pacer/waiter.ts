/** A call that waits for room, and the order in which they leave. */
import { Effect } from "effect"
import type { DeadlineError, PacerError } from "../../domain/errors.ts"
import type { PacerPermit, PacerRequest } from "../../services/pacer.ts"
import type { Timer } from "../../services/timers.ts"
import { Heap, outside } from "../bulkhead/heap.ts"

/** What a wait ends with. */
export type Waited = Effect.Effect<PacerPermit, PacerError | DeadlineError>

export class Waiter {
  readonly request: PacerRequest
  readonly requestId: string | undefined
  /** Its place in the order: the smallest leaves first, among equals the earliest. */
  readonly tag: number
  readonly order: number
  readonly since: number
  place = outside
  timer: Timer | undefined = undefined
  /** What it was given, awake or not. */
  permit: PacerPermit | undefined = undefined
  private result: Waited | undefined = undefined
  private wake: ((result: Waited) => void) | undefined = undefined

  constructor(request: PacerRequest, requestId: string | undefined, tag: number, order: number, since: number) {
    this.request = request
    this.requestId = requestId
    this.tag = tag
    this.order = order
    this.since = since
  }

  get waiting(): boolean {
    return this.place !== outside
  }

  /** End the wait. Called once, after it has left the queue. */
  finish(result: Waited): void {
    this.timer?.disarm()
    this.result = result
    this.wake?.(result)
  }

  /** The wait itself. */
  readonly wait: Waited = Effect.withFiber((fiber) =>
    Effect.callback((resume) => {
      if (this.result !== undefined) {
        resume(this.result)
        return
      }
      // In its own dispatcher's turn: here it would run inside whatever made room.
      this.wake = (result) => fiber.currentDispatcher.scheduleTask(() => resume(result), 0)
    })
  )
}

/** All that wait, the first to leave on top. */
export class Queue extends Heap<Waiter> {
  protected override before(a: Waiter, b: Waiter): boolean {
    return a.tag < b.tag || (a.tag === b.tag && a.order < b.order)
  }
  protected override placeOf(waiter: Waiter): number {
    return waiter.place
  }
  protected override moved(waiter: Waiter, place: number): void {
    waiter.place = place
  }
}

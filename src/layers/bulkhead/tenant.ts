/** A tenant's account at one provider and priority: what it waits with, what it runs, and how far it has been served. */
import type { History } from "./caution.ts"
import { outside } from "./heap.ts"
import type * as WaitQueue from "./wait-queue.ts"

/** What waits. `cost` is the estimated work in tokens; `order` grows with each arrival. */
export interface Claim<Self extends Claim<Self>> extends WaitQueue.Node<Self> {
  readonly tenant: Tenant<Self>
  readonly cost: number
  readonly order: number
}

/**
 * The account. It is the list of its own waiting claims, in the order of their
 * arrival, and a member of the list of those that rest. Times are virtual (see
 * `fair-queue.ts`), where they are not named ms. Only its queue writes to it.
 */
export class Tenant<C extends Claim<C>> implements WaitQueue.WaitQueue<C>, WaitQueue.Node<Tenant<C>> {
  readonly id: string
  weight = 1
  /** Its weight while it waits, else 0: its part of the queue's sum. */
  waitingWeight = 0
  head: C | undefined = undefined
  tail: C | undefined = undefined
  size = 0
  /** The waiting claims' costs together. */
  work = 0
  inFlight = 0
  /** Calls whose true work is known, and that over their estimates; `undefined` before the first. */
  settled = 0
  ratio: number | undefined = undefined
  /** Where the work that was begun ends. */
  finish = 0
  /** The present when the tenant began to wait: what it did not ask for before, it does not get later. */
  since = 0
  /** Starts of the first and of the last waiting claim. */
  first = 0
  last = 0
  firstPlace = outside
  lastPlace = outside
  previous: Tenant<C> | undefined = undefined
  next: Tenant<C> | undefined = undefined
  /** Since when it neither waits nor runs, in ms of the clock; `undefined` while it does, and before its first claim. */
  restingSince: number | undefined = undefined

  /** There once a claim of it has found no free place. */
  history: History | undefined = undefined

  constructor(id: string) {
    this.id = id
  }
}

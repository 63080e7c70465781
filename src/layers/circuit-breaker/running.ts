/**
 * The calls that have begun and have no answer yet, oldest first: a linked list
 * through the calls themselves, so that one joins and leaves at no cost.
 */

/** A call that can be in one list; `running` says whether it is. */
export interface Runner<R> {
  before: R | undefined
  after: R | undefined
  running: boolean
}

export class Running<R extends Runner<R>> {
  oldest: R | undefined
  private youngest: R | undefined

  add(call: R): void {
    call.running = true
    call.before = this.youngest
    if (this.youngest === undefined) this.oldest = call
    else this.youngest.after = call
    this.youngest = call
  }

  /** Take out a call that is in this list. */
  remove(call: R): void {
    const { after, before } = call
    if (before === undefined) this.oldest = after
    else before.after = after
    if (after === undefined) this.youngest = before
    else after.before = before
    call.running = false
    call.before = undefined
    call.after = undefined
  }

  clear(): void {
    for (let call = this.oldest; call !== undefined; call = this.oldest) this.remove(call)
  }
}

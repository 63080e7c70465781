/**
 * The buckets of a rate limiter, found by dimension and caller.
 *
 * Users live in a map of their tenant, not under a joined text key, so no
 * choice of ids lets two tenants share one. A bucket that is full again says
 * the same as no bucket: a cursor that moves a few places with each request
 * forgets those, so that memory follows the callers of the last minute without
 * a timer for any of them.
 */
import type { Caller } from "../../domain/caller.ts"

/** One key's bucket. Times are ms since the limiter's start; a time that has passed means full. */
export interface Bucket {
  requestsFullAt: number
  tokensFullAt: number
  /** Open reservations; they still need the bucket. */
  held: number
}

class Entry implements Bucket {
  requestsFullAt = 0
  tokensFullAt = 0
  held = 0
  readonly owner: Map<string, Entry>
  readonly key: string
  /** A tenant's users; the tenant is not forgotten before them. */
  users: Map<string, Entry> | undefined = undefined

  constructor(owner: Map<string, Entry>, key: string) {
    this.owner = owner
    this.key = key
  }
}

/** Buckets looked at for each one that was made: two, so that forgetting is faster than making. One more with every request. */
const stepsForEachNew = 2

/** All buckets of one limiter. */
export class Buckets {
  private readonly tenants = new Map<string, Entry>()
  private readonly ips = new Map<string, Entry>()
  private readonly global = new Entry(new Map(), "")
  private readonly all: Array<Entry> = []
  private cursor = 0
  private steps = 1

  /** The bucket of `caller` in `dimension`, made on first use; `undefined` when the caller has no such key. */
  of(dimension: "user" | "ip" | "tenant" | "global", caller: Caller): Bucket | undefined {
    switch (dimension) {
      case "global":
        return this.global
      case "ip":
        return caller.ip === undefined ? undefined : this.entry(this.ips, caller.ip)
      case "tenant":
        return this.entry(this.tenants, caller.tenant)
      case "user": {
        if (caller.user === undefined) return undefined
        const tenant = this.entry(this.tenants, caller.tenant)
        tenant.users ??= new Map()
        return this.entry(tenant.users, caller.user)
      }
    }
  }

  /** How many keys are remembered. */
  get size(): number {
    return this.all.length
  }

  /** Look at the next few buckets and forget the full ones. */
  sweep(now: number): void {
    const steps = this.steps
    this.steps = 1
    for (let step = 0; step < steps; step++) {
      const last = this.all.length - 1
      if (last < 0) return
      if (this.cursor > last) this.cursor = 0
      const entry = this.all[this.cursor]
      if (entry === undefined) return
      const full = entry.requestsFullAt <= now && entry.tokensFullAt <= now && entry.held === 0
      if (full && (entry.users === undefined || entry.users.size === 0)) {
        entry.owner.delete(entry.key)
        const moved = this.all.pop()
        if (moved !== undefined && moved !== entry) this.all[this.cursor] = moved
      } else {
        this.cursor++
      }
    }
  }

  private entry(owner: Map<string, Entry>, key: string): Entry {
    let entry = owner.get(key)
    if (entry === undefined) {
      entry = new Entry(owner, key)
      owner.set(key, entry)
      this.all.push(entry)
      this.steps += stepsForEachNew
    }
    return entry
  }
}

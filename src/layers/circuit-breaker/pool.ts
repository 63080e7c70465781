/**
 * How many breakers may be open at once: a panic threshold (after the one of
 * Envoy's load balancer). When all candidates look bad, refusing everything
 * turns a partial outage into a whole one.
 *
 * At most `maxOpenShare` of a pool may be open, and never all of it, unless it
 * has but one. Those tripped by hand count, and so do those that are being
 * probed after an open time.
 */
import type { BreakerPolicy } from "../../domain/policy.ts"
import type { Cell } from "./cell.ts"

/** A key counts among those in use for this many windows after it was asked for last. */
const windowsInUse = 6

/** Shares such as 2/3 are not exact in binary. */
const tolerance = 1e-9

export class Pools {
  private readonly policy: BreakerPolicy
  /** For each key the pools that it is in; without this, all keys in use are one pool. */
  private readonly pools: ReadonlyMap<string, ReadonlyArray<ReadonlyArray<string>>> | undefined
  private readonly cells: ReadonlyMap<string, { readonly cell: Cell }>

  constructor(
    policy: BreakerPolicy,
    cells: ReadonlyMap<string, { readonly cell: Cell }>,
    pools: ReadonlyArray<ReadonlyArray<string>> | undefined
  ) {
    this.policy = policy
    this.cells = cells
    if (pools === undefined) return
    const byKey = new Map<string, Array<ReadonlyArray<string>>>()
    for (const pool of pools) {
      for (const key of new Set(pool)) {
        const its = byKey.get(key)
        if (its === undefined) byKey.set(key, [pool])
        else its.push(pool)
      }
    }
    this.pools = byKey
  }

  /**
   * Whether this one may open too. For slowness alone only while another is
   * closed: a slow answer is better than none. (Where nobody has said what
   * there is besides a single key, it may.)
   */
  mayOpen(cell: Cell, at: number, cause: "failures" | "slowness"): boolean {
    if (this.pools === undefined) return this.agrees(cell, this.inUse(at), cause, false)
    // A candidate that several models share must leave each of them another.
    const pools = this.pools.get(cell.key)
    return pools === undefined
      ? this.agrees(cell, [], cause, true)
      : pools.every((pool) => this.agrees(cell, pool, cause, true))
  }

  /** Whether one pool can do without this one. `known`: the pool is all there is, not merely what was in use. */
  private agrees(cell: Cell, pool: Iterable<string>, cause: "failures" | "slowness", known: boolean): boolean {
    let size = 1
    let closed = 0
    let open = 0
    for (const other of pool) {
      if (other === cell.key) continue
      size++
      // A candidate that was never asked for is closed.
      const state = this.cells.get(other)?.cell
      if (state === undefined || state.state === "closed") closed++
      else if (!state.spared) open++
    }
    if (cause === "slowness" && closed === 0 && (size > 1 || known)) return false
    return open < Math.max(1, Math.min(size - 1, Math.floor(this.policy.maxOpenShare * size + tolerance)))
  }

  private *inUse(at: number): Iterable<string> {
    for (const [key, { cell }] of this.cells) {
      if (at - cell.usedAt <= windowsInUse * this.policy.windowMs) yield key
    }
  }
}

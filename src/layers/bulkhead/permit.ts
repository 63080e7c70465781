/** A place that somebody has. It ends with `release` alone: a caller's timeout does not free it while its work goes on. */
import type { BulkheadPermit } from "../../services/bulkhead.ts"
import type { Cell } from "./cell.ts"
import type { Level } from "./level.ts"
import type { Tenant } from "./tenant.ts"
import type { Waiter } from "./waiter.ts"

export class Permit implements BulkheadPermit {
  readonly waitedMs: number
  readonly level: Level
  readonly tenant: Tenant<Waiter>
  readonly since: number
  private readonly cell: Cell
  private readonly cost: number
  private readonly estimate: number
  private held = true
  private settled = false

  constructor(
    cell: Cell,
    level: Level,
    tenant: Tenant<Waiter>,
    cost: number,
    estimate: number,
    since: number,
    waitedMs: number
  ) {
    this.cell = cell
    this.level = level
    this.tenant = tenant
    this.cost = cost
    this.estimate = estimate
    this.since = since
    this.waitedMs = waitedMs
  }

  firstToken(ms: number): void {
    if (this.held) this.cell.firstToken(ms)
  }

  pace(tokens: number, ms: number): void {
    if (this.held) this.cell.pace(tokens, ms)
  }

  answered(tokens: number, ms: number): void {
    if (this.held) this.cell.answered(tokens, ms)
  }

  dropped(): void {
    if (this.held) this.cell.dropped()
  }

  settle(tokens: number): void {
    if (!this.held || this.settled) return
    this.settled = true
    this.cell.settle(this.level, this.tenant, this.cost, this.estimate, Math.max(0, tokens))
  }

  release(): void {
    if (!this.held) return
    this.held = false
    this.cell.release(this, true)
  }

  /** Give the place back unused: no work was done, and nothing is learned. */
  unused(): void {
    if (!this.held) return
    this.held = false
    if (!this.settled) this.level.queue.settle(this.tenant, -this.cost)
    this.cell.release(this, false)
  }
}

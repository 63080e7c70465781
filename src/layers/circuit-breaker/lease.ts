/**
 * The right to make one call, and what its breaker has heard of it: one object
 * for each call, without closures.
 *
 * A lease is stale once its breaker has changed its state (or begun another
 * batch of probes): nothing that it says changes any state from then on.
 */
import type { BreakerLease } from "../../services/circuit-breaker.ts"
import type { Cell } from "./cell.ts"
import type { Runner } from "./running.ts"

/** `late`: counted as slow while still running. `final`: nothing more is heard. */
type Heard = "nothing" | "late" | "answer" | "final"

export class Lease implements BreakerLease, Runner<Lease> {
  readonly probe: boolean
  /** When the call left (epoch ms), once it has. */
  begunAt = -1
  streamed = true
  /** See `Counted`. */
  countedAt = 0
  begunAs = -1
  outcome = -1
  before: Lease | undefined = undefined
  after: Lease | undefined = undefined
  running = false
  private readonly cell: Cell
  private readonly epoch: number
  private heard: Heard = "nothing"

  constructor(cell: Cell, probe: boolean) {
    this.cell = cell
    this.epoch = cell.epoch
    this.probe = probe
  }

  begin(streamed = true): boolean {
    if (this.heard !== "nothing") return this.heard !== "final"
    if (this.stale()) return false
    if (this.begunAt >= 0) return true
    this.streamed = streamed
    this.cell.begun(this)
    return true
  }

  succeed(firstTokenMs: number): void {
    const { heard } = this
    if (heard !== "nothing" && heard !== "late") return
    const at = this.says("answer")
    if (at >= 0) this.cell.succeeded(this, at, firstTokenMs, heard === "late")
    // A probe that took too long for its probing still says how long calls take there.
    else if (this.probe) this.cell.learn(this, firstTokenMs)
  }

  fail(retryAfterMs = 0): void {
    const { heard } = this
    if (heard === "final") return
    if (!this.stale()) this.cell.askedToWait(retryAfterMs)
    const at = this.says("final")
    if (at >= 0) this.cell.failed(this, at, heard !== "nothing")
  }

  cutShort(elapsedMs: number): void {
    if (this.heard !== "nothing") return
    const at = this.says("final")
    if (at >= 0) this.cell.cutShort(this, at, elapsedMs)
  }

  gap(ms: number): void {
    if (this.heard !== "answer" || this.probe) return
    const at = this.says("answer")
    if (at >= 0) this.cell.paced(at, ms)
  }

  release(): void {
    this.leave()
    if (this.heard === "nothing" && this.probe && !this.stale()) this.cell.unprobed(this)
    this.heard = "final"
  }

  /** It ran longer than is usual and has no answer yet. */
  isLate(): void {
    this.leave()
    this.heard = "late"
  }

  /** The time of a verdict; -1 where it no longer matters, perhaps because of calls that have become late by now. */
  private says(heard: Heard): number {
    this.heard = heard
    this.leave()
    if (this.stale()) return -1
    const at = this.cell.now()
    this.cell.look(at)
    return this.stale() ? -1 : at
  }

  private leave(): void {
    if (this.running) this.cell.ended(this)
  }

  private stale(): boolean {
    return this.epoch !== this.cell.epoch
  }
}

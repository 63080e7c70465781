/**
 * A lid on refusals that rest on an estimate: at most a fifth of the recent
 * decisions, so that a wrong estimate cannot lock everybody out (as Finagle's
 * DeadlineFilter: 20 % in 10 s).
 */

const share = 0.2
const fadeMs = 10_000

export class RefusalCap {
  private decisions = 0
  private refusals = 0
  private at = 0

  /** One more decision. */
  decided(now: number): void {
    this.fade(now)
    this.decisions++
  }

  /** Whether one more refusal keeps the lid on; it is counted if so. */
  refuse(now: number): boolean {
    this.fade(now)
    if (this.refusals + 1 > share * (this.decisions + 1)) return false
    this.decisions++
    this.refusals++
    return true
  }

  private fade(now: number): void {
    const passed = now - this.at
    if (passed <= 0) return
    this.at = now
    const factor = 1 / (1 + passed / fadeMs)
    this.decisions *= factor
    this.refusals *= factor
  }
}

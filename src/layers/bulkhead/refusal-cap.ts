/**
 * A lid on refusals that rest on an estimate: at most a fifth of the recent
 * decisions, so that a wrong estimate cannot lock everybody out (as Finagle's
 * DeadlineFilter: 20 % in 10 s).
 */
import { FadingMean } from "./fading-mean.ts"

const share = 0.2
const fadeMs = 10_000

export class RefusalCap {
  /** The share of refusals: only time makes it forget. */
  private readonly refusals = new FadingMean(Infinity, fadeMs)

  /** One more decision. */
  decided(now: number): void {
    this.refusals.add(now, 0)
  }

  /** Whether one more refusal keeps the lid on; it is counted if so. */
  refuse(now: number): boolean {
    if (this.refusals.read(now, 1, 1) > share) return false
    this.refusals.add(now, 1)
    return true
  }
}

/**
 * How long a breaker stays open. The time doubles with each probing that
 * failed, and with each relapse: a provider that comes and goes is asked less
 * and less often. Staying closed takes the doublings back, one for each window.
 *
 * All of it gets jitter (0.8 to 1.2), so that a fleet does not probe in step.
 */
import type { BreakerPolicy } from "../../domain/policy.ts"

/** Jitter on top of a `Retry-After`: up to this share of `openMs`. */
const spread = 0.2

export class OpenTime {
  private readonly policy: BreakerPolicy
  private readonly random: () => number
  private doublings = 0
  private closedAt = -Infinity
  /** The latest time that a `Retry-After` asked for. */
  private notBefore = -Infinity

  /** `random` is from 0 to 1. */
  constructor(policy: BreakerPolicy, random: () => number) {
    this.policy = policy
    this.random = random
  }

  /** The provider wants no call before `until` (epoch ms). */
  ask(until: number): void {
    this.notBefore = Math.max(this.notBefore, until)
  }

  /** What the provider asked for at `at`, as epoch ms: never earlier, but at most twice `maxOpenMs` from now. */
  asked(at: number): number {
    const { maxOpenMs, openMs } = this.policy
    if (this.notBefore <= at) return at
    return Math.min(this.notBefore, at + 2 * maxOpenMs) + spread * openMs * this.random()
  }

  /** How often the time has been doubled. */
  get level(): number {
    return this.doublings
  }

  /** Others have doubled it more often. */
  raise(level: number): void {
    this.doublings = Math.max(this.doublings, level)
  }

  /** It opens at `at` after it was closed: until when. */
  opens(at: number): number {
    const windows = Math.floor((at - this.closedAt) / this.policy.windowMs)
    if (windows < 1) this.double()
    else this.doublings = Math.max(0, this.doublings - windows)
    return this.until(at)
  }

  /** It opens again because a probe failed: until when. */
  reopens(at: number): number {
    this.double()
    return this.until(at)
  }

  closes(at: number): void {
    this.closedAt = at
    this.notBefore = -Infinity
  }

  /** Nothing has ever happened. */
  forget(): void {
    this.doublings = 0
    this.closedAt = -Infinity
    this.notBefore = -Infinity
  }

  private double(): void {
    const { maxOpenMs, openMs } = this.policy
    if (openMs * 2 ** this.doublings < maxOpenMs) this.doublings++
  }

  private until(at: number): number {
    const { maxOpenMs, openMs } = this.policy
    const ms = Math.min(maxOpenMs, openMs * 2 ** this.doublings)
    return Math.max(at + ms * (0.8 + 0.4 * this.random()), this.asked(at))
  }
}

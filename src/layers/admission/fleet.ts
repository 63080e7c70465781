/**
 * How many processes there are: each says every second that it lives, and is
 * told how many others do. While Redis is away, the last number known decides
 * how much of a limit is this process's own.
 *
 * The same word renews the leases of this process (`leases/redis.ts`).
 */

/** How long (µs) a process is believed to live without another word. */
export const livesUs = 3_500_000

/** Pause (ms) between two words. */
export const wordMs = 1_000

/** What this process knows of the others. */
export class Fleet {
  private known = 1
  private readonly least: number
  private readonly safety: number

  /** `least`: processes that the configuration speaks of; `safety`: what a process takes of its even part, 0 to 1. */
  constructor(least: number, safety: number) {
    this.least = least
    this.safety = safety
  }

  /** `count` processes live. */
  told(count: number): void {
    this.known = Math.max(1, count)
  }

  /** Processes that share the limits. */
  get processes(): number {
    return Math.max(this.known, this.least)
  }

  /** This process's own part of every limit while Redis is away, 0 to 1. */
  readonly share = (): number => this.safety / this.processes
}

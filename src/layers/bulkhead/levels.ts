/**
 * The three priorities of one provider, and how they share its places: each
 * owns a part, and what one does not ask for the others have.
 */
import type { Priority } from "../../domain/caller.ts"
import type { PriorityShares } from "../../domain/policy.ts"
import { Level } from "./level.ts"
import type { Waiter } from "./waiter.ts"

/** The index of a priority's level: who goes first among equals. */
export type Rank = 0 | 1 | 2

/** Each priority's rank. */
export const ranks: Readonly<Record<Priority, Rank>> = { critical: 0, standard: 1, background: 2 }

/** A priority without a share that competes with others is reckoned with this one. */
const leastShare = 0.01

export class Levels {
  private readonly levels: readonly [Level, Level, Level]

  constructor({ background, critical, standard }: PriorityShares) {
    this.levels = [new Level(critical), new Level(standard), new Level(background)]
  }

  /** The level of a rank. */
  at(rank: Rank): Level {
    return this.levels[rank]
  }

  /** The waiting level that is furthest below its share of `limit` places; the first one where none is below. */
  next(limit: number): Level | undefined {
    let next: Level | undefined
    let least = Infinity
    for (const level of this.levels) {
      if (level.queue.size === 0) continue
      const nominal = level.share * limit
      const filled = nominal > 0 ? level.inFlight / nominal : Infinity
      if (next === undefined || (filled < 1 && filled < least)) {
        next = level
        least = filled
      }
    }
    return next
  }

  /** The claim that would be served last of the lowest level that waits, unless that is above `rank`. */
  last(rank: Rank): Waiter | undefined {
    for (let index = this.levels.length - 1; index >= rank; index--) {
      const last = this.levels[index]?.queue.youngest()
      if (last !== undefined) return last
    }
    return undefined
  }

  /** Time between two places for a level, where all levels together get one each `anyMs` and those that wait share them. */
  gapMs(level: Level, now: number, anyMs: number): number {
    const own = Math.max(leastShare, level.share)
    let shares = own
    for (const other of this.levels) if (other !== level && other.queue.size > 0) shares += other.share
    return level.gapMs(now, (anyMs * shares) / own)
  }

  /** Nothing waits and nothing runs. */
  settleAll(): void {
    for (const { queue } of this.levels) queue.settleAll()
  }
}

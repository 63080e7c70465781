/**
 * Caps from what a tenant has spent: room above the past, by day and by month.
 *
 * A day's cap comes of the busiest day, a month's of the whole time scaled to
 * 30 days; both times the wanted factor, and for premium plans times theirs.
 */
import type { Caps } from "../../domain/budget.ts"
import type { Plan } from "../../domain/caller.ts"

/** What a tenant spent on one UTC day. */
export interface Day {
  readonly microUsd: number
  readonly tokens: number
}

/**
 * - `days`: the days on which anything was spent
 * - `periodDays`: how many days were looked at
 * - `factor`: 1.5 is half as much again as was spent
 * - `premiumFactor`: how many times that a premium tenant gets
 */
export interface Usage {
  readonly plan: Plan
  readonly days: ReadonlyArray<Day>
  readonly periodDays: number
  readonly factor: number
  readonly premiumFactor: number
}

/** Days of a month. */
const month = 30

/** The least cap there is: one dollar a day, so that a tenant who has hardly begun is not locked out. */
const least = 1_000_000

const cap = (micro: number) => ({ microUsd: Math.min(Number.MAX_SAFE_INTEGER, Math.ceil(micro)) })

/** Caps in money for such a use; `undefined` for a tenant that has spent nothing, of whom nothing can be said. */
export const propose = ({ days, factor, periodDays, plan, premiumFactor }: Usage): Caps | undefined => {
  const total = days.reduce((sum, { microUsd }) => sum + microUsd, 0)
  if (total <= 0) return undefined
  const busiest = days.reduce((most, { microUsd }) => Math.max(most, microUsd), 0)
  const room = factor * (plan === "premium" ? premiumFactor : 1)
  const day = Math.max(least, busiest * room)
  return { day: cap(day), month: cap(Math.max(day, (total / periodDays) * month * room)) }
}

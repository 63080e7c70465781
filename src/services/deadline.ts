/**
 * Until when: the one deadline of a request, which covers its queues, retries,
 * fallbacks and hedges. The reference is what an embedding program sets around
 * `complete`; the deadline that results, with the policy's own limit, stands in
 * the request's record, where every guard can read it.
 */
import { Context } from "effect"

/** `atMs` is epoch ms (`Infinity`: none); `budgetMs` is what the request had at its start, for messages. */
export interface Deadline {
  readonly atMs: number
  readonly budgetMs: number
}

/** The deadline that the caller of `complete` sets; none by default. */
export const Deadline = Context.Reference<Deadline>("ballast/services/Deadline", {
  defaultValue: () => none
})

/** No deadline. */
export const none: Deadline = { atMs: Infinity, budgetMs: Infinity }

/** A deadline `budgetMs` from `nowMs`, or `outer` where that is earlier. */
export const within = (nowMs: number, budgetMs: number, outer: Deadline = none): Deadline =>
  nowMs + budgetMs <= outer.atMs ? { atMs: nowMs + budgetMs, budgetMs } : outer

/** Milliseconds left at `nowMs`; never negative. */
export const remainingMs = (deadline: Deadline, nowMs: number): number => Math.max(0, deadline.atMs - nowMs)

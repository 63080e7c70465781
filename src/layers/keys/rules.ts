/** What every layer of Keys asks of a request before it does anything. */
import { Effect } from "effect"
import { StoreError } from "../../domain/errors.ts"
import type { Act, KeyRequest } from "../../services/keys.ts"

/** Longest life and longest overlap of a key: a hundred years, in ms. Longer ones are mistakes. */
export const longestMs = 100 * 365 * 86_400_000

const invalid = (detail: string) =>
  Effect.fail(new StoreError({ store: "postgres", reason: { _tag: "Invalid", detail } }))

const isDuration = (ms: number, least: number) => Number.isSafeInteger(ms) && ms >= least && ms <= longestMs

/** An act has an actor and a reason. */
export const checkAct = ({ actor, reason }: Act): Effect.Effect<void, StoreError> =>
  actor.trim() === ""
    ? invalid("who acts must be named")
    : reason.trim() === ""
      ? invalid("a reason must be given")
      : Effect.void

/** A new key may do something, and lives for a while. */
export const checkRequest = (request: KeyRequest): Effect.Effect<void, StoreError> =>
  request.scopes.length === 0
    ? invalid("a key needs at least one scope")
    : request.residency === ""
      ? invalid("a residency is not empty")
      : request.lifeMs !== undefined && !isDuration(request.lifeMs, 1)
        ? invalid(`a key's life is between 1 and ${longestMs} ms`)
        : checkAct(request)

/** An overlap is a duration, or nothing. */
export const checkOverlap = (overlapMs: number): Effect.Effect<void, StoreError> =>
  isDuration(overlapMs, 0) ? Effect.void : invalid(`an overlap is between 0 and ${longestMs} ms`)

/**
 * The waits for more of a stream, kept in time: each under the idle limit, all
 * under the stream's own end. For providers that do not keep them themselves
 * (`Upstream.bounded`).
 */
import { Effect, Stream } from "effect"
import type { Array, Pull } from "effect"
import type { Candidate } from "../domain/candidate.ts"
import { ProviderError } from "../domain/errors.ts"
import type { CompletionEvent } from "../services/provider.ts"
import type { RequestRecord } from "../services/request-record.ts"
import { timeBoxes } from "../services/timers.ts"
import type { Request } from "./request.ts"

/** What one wait brings. */
export type Events = Pull.Pull<Array.NonEmptyReadonlyArray<CompletionEvent>, ProviderError>

/** The error of a stream that was silent for too long, or that has lived too long. */
export const timeout = (
  candidate: Candidate,
  record: RequestRecord,
  phase: "idle" | "total",
  afterMs: number
): ProviderError =>
  new ProviderError({
    requestId: record.id,
    provider: candidate.provider,
    reason: { _tag: "Timeout", phase, afterMs }
  })

/** A pull that is waited for in time; past `endsAtMs` (epoch ms), which is `limitMs` after the request began, it fails as `total`. */
export const inTime = (
  request: Request,
  candidate: Candidate,
  endsAtMs: number,
  limitMs: number
): ((pull: Events) => Events) => {
  const { record, timeouts, timers } = request
  const box = timeBoxes(timers)
  return (pull) =>
    Effect.suspend(() => {
      const idleAt = timers.now() + timeouts.idleMs
      return idleAt <= endsAtMs
        ? box(idleAt, () => timeout(candidate, record, "idle", timeouts.idleMs))(pull)
        : box(endsAtMs, () => timeout(candidate, record, "total", limitMs))(pull)
    })
}

/** A whole stream so. */
export const streamInTime = (
  stream: Stream.Stream<CompletionEvent, ProviderError>,
  wait: (pull: Events) => Events
): Stream.Stream<CompletionEvent, ProviderError> => Stream.transformPull(stream, (pull) => Effect.succeed(wait(pull)))

/**
 * Idempotency in this process's memory: for one process alone, and what the
 * shared store falls back to.
 */
import { Clock, Context, Effect, Exit, Layer, Scope } from "effect"
import { IdempotencyError } from "../../domain/errors.ts"
import * as Guard from "../../services/guard.ts"
import { Idempotency } from "../../services/idempotency.ts"
import type { IdempotentReplay, IdempotentRun } from "../../services/idempotency.ts"
import * as LeaseScope from "../../services/lease-scope.ts"
import type { Found } from "./entries.ts"
import { Entries } from "./entries.ts"
import { idOf } from "./keys.ts"
import { defaults, inFlightPauseMs } from "./limits.ts"
import type { Limits } from "./limits.ts"
import { Recording } from "./recording.ts"

/** The error for a key that cannot be used now. */
export const refuse = (
  found: { readonly _tag: "InFlight" | "OtherBody" },
  retryAfterMs: number = inFlightPauseMs
): Exit.Exit<never, IdempotencyError> =>
  Exit.fail(
    Guard.refusal(
      () =>
        new IdempotencyError({
          reason: found._tag === "InFlight" ? { _tag: "InFlight", retryAfterMs } : { _tag: "OtherBody" }
        })
    )
  )

/** What there is to say of a key at once; `undefined` for one that is free. */
export const verdict = (found: Found): Exit.Exit<IdempotentReplay, IdempotencyError> | undefined => {
  switch (found._tag) {
    case "Unknown":
      return undefined
    case "Answered":
      return Exit.succeed({ _tag: "Replay", answer: found.answer })
    default:
      return refuse(found)
  }
}

/** A run under a key of this process. */
class MemoryRun implements IdempotentRun {
  readonly _tag = "Run"
  private readonly entries: Entries
  private readonly id: string
  private readonly fingerprint: string
  private readonly recording: Recording
  private readonly now: () => number
  private open = true

  constructor(entries: Entries, id: string, fingerprint: string, answerBytes: number, now: () => number) {
    this.entries = entries
    this.id = id
    this.fingerprint = fingerprint
    this.recording = new Recording(answerBytes)
    this.now = now
    entries.take(id, fingerprint)
  }

  begin(status: number, headers: ReadonlyArray<string>): void {
    this.recording.begin(status, headers)
  }

  append(data: string): void {
    this.recording.append(data)
  }

  complete(): void {
    if (!this.open) return
    const answer = this.recording.answer()
    if (answer === undefined) return this.release()
    this.open = false
    this.entries.keep(this.id, this.fingerprint, answer, this.recording.size, this.now())
  }

  release(): void {
    if (!this.open) return
    this.open = false
    this.entries.free(this.id)
  }
}

/** Hold a run with the scope of the fiber. Call it in an uninterruptible region. */
export const held = <R extends IdempotentRun & LeaseScope.Lease>(
  run: R,
  context: Context.Context<Scope.Scope>
): Effect.Effect<void> => LeaseScope.add(Context.get(context, Scope.Scope), () => run.release()) ?? Exit.void

/** What a request under a key begins with. */
export type Begun = Effect.Effect<IdempotentRun | IdempotentReplay, IdempotencyError>

/** The port over `entries`. */
export const make = (entries: Entries, limits: Limits, now: () => number): Idempotency["Service"] =>
  Idempotency.of({
    begin: (tenant, key, fingerprint) =>
      Effect.uninterruptible(
        Effect.contextWith((context: Context.Context<Scope.Scope>): Begun => {
          const id = idOf(tenant, key)
          const known = verdict(entries.find(id, fingerprint, now()))
          if (known !== undefined) return known
          const run = new MemoryRun(entries, id, fingerprint, limits.answerBytes, now)
          return Effect.as(held(run, context), run)
        })
      )
  })

/** {@link make} as a layer, by the Clock; `limits` over {@link defaults}. */
export const layer = (limits: Partial<Limits> = {}): Layer.Layer<Idempotency> =>
  Layer.effect(
    Idempotency,
    Effect.map(Clock.Clock, (clock) => {
      const all = { ...defaults, ...limits }
      return make(new Entries(all), all, () => clock.currentTimeMillisUnsafe())
    })
  )

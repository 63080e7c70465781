/** The one thing that all policies of S7 do: give a permit and take it back. */
import type { Effect, Scope } from "effect"

/** A permit that was given, for as long as its scope is open. */
export interface Permit {
  readonly fence: number
  /** Given by this process alone, since Redis did not answer in time: its fence is no other's. */
  readonly local: boolean
  /** Whether the holder may still think that it has it. */
  readonly held: () => boolean
  readonly onLost: (lost: () => void) => void
}

/** A permit, or why there is none. */
export type Acquire = Effect.Effect<Permit, string, Scope.Scope>

/** The raw way into a guard, taken as the programs take it: in an uninterruptible region, released by hand. */
import { Effect } from "effect"
import type { EnterUnsafe, Lease } from "../../src/services/guard.ts"

/** Enter without a scope; whoever calls this releases the lease. */
export const enter = <L extends Lease, E>(raw: EnterUnsafe<L, E>, requestId?: string): Effect.Effect<L, E> =>
  Effect.uninterruptibleMask((restore) => Effect.suspend(() => raw(restore, requestId)))

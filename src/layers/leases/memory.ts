/**
 * Calls of each tenant in flight, in the memory of this process: a count, for
 * a process that is gone has no calls in flight, so nothing expires.
 */
import { Effect, Layer } from "effect"
import type { Caller } from "../../domain/caller.ts"
import { LeaseError } from "../../domain/errors.ts"
import type { LeasePolicy } from "../../domain/policy.ts"
import * as Guard from "../../services/guard.ts"
import { Leases, unlimited } from "../../services/leases.ts"
import * as LeasesPort from "../../services/leases.ts"
import type { TenantLease } from "../../services/leases.ts"

/** When a refused caller may ask again (ms): about the time of a short answer. */
export const retryAfterMs = 1_000

/** The refusal of a tenant that has `limit` calls in flight. */
export const exceeded = (requestId: string | undefined, limit: number, afterMs = retryAfterMs): LeaseError =>
  Guard.refusal(
    () =>
      new LeaseError({
        ...Guard.withRequestId(requestId),
        reason: { _tag: "Exceeded", limit, retryAfterMs: afterMs }
      })
  )

/** Leases of this process alone. `share`: its part of each limit, 0 to 1; at least one call is always let in. */
export const make = (policy: LeasePolicy, share: () => number = () => 1): Leases["Service"] => {
  const held = new Map<string, number>()
  let fence = 0

  const acquireUnsafe =
    (caller: Caller) =>
    (_restore: Guard.Restore, requestId: string | undefined): Effect.Effect<TenantLease, LeaseError> => {
      const limit = policy[caller.plan]
      if (limit === undefined) return Effect.succeed(unlimited)
      const count = held.get(caller.tenant) ?? 0
      if (count >= Math.max(1, Math.floor(limit * share()))) return Effect.fail(exceeded(requestId, limit))
      held.set(caller.tenant, count + 1)
      let open = true
      return Effect.succeed({
        fence: ++fence,
        held: () => open,
        onLost: () => {},
        release: () => {
          if (!open) return
          open = false
          const left = (held.get(caller.tenant) ?? 1) - 1
          if (left === 0) held.delete(caller.tenant)
          else held.set(caller.tenant, left)
        }
      })
    }

  return LeasesPort.make({ acquireUnsafe, held: (tenant) => Effect.sync(() => held.get(tenant) ?? 0) })
}

/** {@link make} as a layer. */
export const layer = (policy: LeasePolicy): Layer.Layer<Leases> => Layer.sync(Leases, () => make(policy))

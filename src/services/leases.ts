/**
 * How many calls of a tenant are in flight over all processes: one lease for
 * each. A lease expires by itself, by the store's clock, unless its process
 * renews it; so the place of a process that was killed comes back. The fencing
 * number grows with each lease, so that a holder who slept through its expiry
 * can be told from the one who came after (Kleppmann, "How to do distributed
 * locking", 2016).
 */
import { Context, Effect } from "effect"
import type { Scope } from "effect"
import type { Caller } from "../domain/caller.ts"
import type { LeaseError } from "../domain/errors.ts"
import * as Guard from "./guard.ts"
import type { EnterUnsafe, Lease } from "./guard.ts"

/** A place among the calls in flight. Releasing it gives it back at once; nobody waits for the store. */
export interface TenantLease extends Lease {
  /** Grows from lease to lease; 0 where the tenant has no limit. */
  readonly fence: number
  /** False from the moment its process knows that it has expired. */
  readonly held: () => boolean
  /** What to do when it is lost before it is released: once, outside any fiber, must not throw. Replaces an earlier one. */
  readonly onLost: (lost: () => void) => void
}

export class Leases extends Context.Service<
  Leases,
  {
    /** A place for one call of `caller`'s tenant, or `Exceeded`. */
    readonly acquire: (caller: Caller) => Effect.Effect<TenantLease, LeaseError, Scope.Scope>
    /** {@link EnterUnsafe} of the same. */
    readonly acquireUnsafe: (caller: Caller) => EnterUnsafe<TenantLease, LeaseError>
    /** Calls of the tenant in flight, as far as the store can be asked. */
    readonly held: (tenant: Caller["tenant"]) => Effect.Effect<number>
  }
>()("ballast/services/Leases") {}

/** The service from its raw way in and the rest. */
export const make = (service: Omit<Leases["Service"], "acquire">): Leases["Service"] =>
  Leases.of({ ...service, acquire: (caller) => Guard.acquire(service.acquireUnsafe(caller)) })

/** A lease where nothing is limited. */
export const unlimited: TenantLease = { fence: 0, held: () => true, onLost: () => {}, release: () => {} }

/** What has to be true tomorrow: in Postgres. */
import { Effect, Layer, Schedule } from "effect"
import type { PostgresConfig, ResolvedConfig } from "../../domain/config.ts"
import type { StoreError } from "../../domain/errors.ts"
import * as AuditPostgres from "../../layers/audit/postgres.ts"
import * as BudgetCapsPostgres from "../../layers/budget-caps/postgres.ts"
import * as Changes from "../../layers/keys/changes.ts"
import * as KeysPostgres from "../../layers/keys/postgres.ts"
import * as LedgerPostgres from "../../layers/ledger/postgres.ts"
import * as Client from "../../layers/postgres/client.ts"
import { migrate } from "../../layers/postgres/migrate.ts"
import * as TenantsPostgres from "../../layers/tenants/postgres.ts"
import type { StoreHealth } from "../../services/store-health.ts"
import type { Timers } from "../../services/timers.ts"
import type { Kept } from "../stores.ts"
import * as Memory from "./memory.ts"

/** Pause between two tries to bring the schema up to date while Postgres is away. */
const again = Schedule.spaced("2 seconds")

/**
 * Bring the schema up to date. A Postgres that is away is no reason not to
 * start: it is tried again in the background. One that this version must not
 * touch is.
 */
const migrated = Layer.effectDiscard(
  Effect.catchIf(
    migrate(),
    ({ reason }) => reason._tag === "Unavailable" || reason._tag === "Timeout",
    () => Effect.forkScoped(Effect.ignore(Effect.retry(migrate(), again)))
  )
)

/** Books, keys, caps and the audit table. */
export const kept = (
  config: ResolvedConfig,
  postgres: PostgresConfig
): Layer.Layer<Kept, StoreError, StoreHealth | Timers> => {
  const tenants = config.auth.mode === "store" ? TenantsPostgres.layer() : Memory.tenants(config)
  return Layer.mergeAll(
    BudgetCapsPostgres.layer(config.policies.budgets),
    KeysPostgres.layer,
    LedgerPostgres.layer(),
    tenants
  ).pipe(
    Layer.provideMerge(AuditPostgres.layer),
    Layer.provide(Changes.layer(postgres)),
    Layer.provide(migrated),
    Layer.provide(Client.layer(postgres))
  )
}

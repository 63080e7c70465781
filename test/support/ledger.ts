/** Ledger entries for tests. */
import type { TenantId } from "../../src/domain/caller.ts"
import type { LedgerEntry } from "../../src/domain/ledger.ts"

/** Noon of some day. */
export const noon = Date.UTC(2026, 4, 15, 12)
export const dayMs = 86_400_000

/** An entry of `tenant`, 10 + 5 tokens for 100 micro-dollars unless told otherwise. */
export const entry = (tenant: string, id: string, fields: Partial<LedgerEntry> = {}): LedgerEntry => ({
  id,
  kind: "settled",
  atMs: noon,
  // A tenant's name is any text that is not empty.
  tenant: tenant as TenantId,
  user: "u1",
  feature: "chat",
  model: "m",
  provider: "p",
  promptVersion: null,
  inputTokens: 10,
  outputTokens: 5,
  microUsd: 100,
  outcome: "ok",
  ...fields
})

/** Everything of a tenant. */
export const all = (tenant: string) => ({ tenant: tenant as TenantId, fromMs: 0, toMs: noon + 10_000 * dayMs })

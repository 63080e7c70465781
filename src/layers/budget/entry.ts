/**
 * What a budget writes to the books.
 */
import type { LedgerEntry } from "../../domain/ledger.ts"
import type { BudgetRequest, Spending } from "../../services/budget.ts"
import { amount } from "./caps.ts"

/** Everything of an entry but the numbers, its id and its time. */
export type Meta = Pick<LedgerEntry, "tenant" | "user" | "feature" | "model" | "provider" | "promptVersion" | "outcome">

/** Who and what for; without `spending`, of a reservation whose end is not known. */
export const metaOf = ({ caller, model }: BudgetRequest, spending?: Spending): Meta => ({
  tenant: caller.tenant,
  user: caller.user ?? null,
  feature: caller.feature,
  model: spending?.model ?? model,
  provider: spending?.provider ?? null,
  promptVersion: spending?.promptVersion ?? null,
  outcome: spending?.outcome ?? "unknown"
})

/** The entry of a settled request. */
export const settled = (id: string, atMs: number, request: BudgetRequest, spending: Spending): LedgerEntry => ({
  id,
  kind: "settled",
  atMs,
  ...metaOf(request, spending),
  inputTokens: amount(spending.inputTokens),
  outputTokens: amount(spending.outputTokens),
  microUsd: amount(spending.cost)
})

/** All steps of the schema, in order. */
import type { Migration } from "../migration.ts"
import { books } from "./0001-books.ts"
import { tenantsAndKeys } from "./0002-tenants.ts"

export const all: ReadonlyArray<Migration> = [books, tenantsAndKeys]

/** What is there once all of them have run: tables and views. */
export const relations: ReadonlyArray<string> = [
  "ledger",
  "ledger_default",
  "cost",
  "audit",
  "tenants",
  "api_keys",
  "budget_caps"
]

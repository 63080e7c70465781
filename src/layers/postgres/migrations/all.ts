/** All steps of the schema, in order. */
import type { Migration } from "../migration.ts"
import { books } from "./0001-books.ts"
import { tenantsAndKeys } from "./0002-tenants.ts"
import { revision } from "./0003-revision.ts"

export const all: ReadonlyArray<Migration> = [books, tenantsAndKeys, revision]

/** What is there once all of them have run: tables and views. */
export const relations: ReadonlyArray<string> = [
  "ledger",
  "ledger_default",
  "cost",
  "audit",
  "tenants",
  "api_keys",
  "budget_caps",
  "ballast_revision"
]

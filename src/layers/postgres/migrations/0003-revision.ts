/**
 * One number that grows with each change of tenants, keys and caps. Whoever
 * remembers rows of them asks for it now and then: a message that was lost is
 * made good by it.
 *
 * It is one row, which a change locks until it commits. So a greater number is
 * never seen before a smaller one, as it could be with a sequence.
 */
import type { Migration } from "../migration.ts"

const counted = (table: string): string =>
  `CREATE TRIGGER counted AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON ${table}
     FOR EACH STATEMENT EXECUTE FUNCTION ballast_count_change()`

export const revision: Migration = {
  id: 3,
  name: "revision",
  statements: [
    `CREATE TABLE ballast_revision (
       one boolean PRIMARY KEY DEFAULT true CHECK (one),
       revision bigint NOT NULL
     )`,
    "INSERT INTO ballast_revision (revision) VALUES (1)",
    `CREATE FUNCTION ballast_count_change() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN
       UPDATE ballast_revision SET revision = revision + 1;
       RETURN NULL;
     END $$`,
    counted("tenants"),
    counted("api_keys"),
    counted("budget_caps")
  ]
}

/**
 * The books: the ledger, partitioned by month, and the audit table. Rows of
 * both are only ever added; triggers refuse everything else. Whole months are
 * dropped by whoever owns the database (`DROP TABLE ledger_2026_01`).
 */
import type { Migration } from "../migration.ts"

/**
 * A partition for each month there is an entry of, made ahead and on demand;
 * what falls outside of the months that are made goes to the default one.
 * `at` is constant for an id, so that the key keeps (id, kind) unique; a
 * partitioned table's key has to hold what it is partitioned by.
 */
const ledger = `
  CREATE TABLE ledger (
    id text NOT NULL CHECK (id <> ''),
    kind text NOT NULL CHECK (kind IN ('settled', 'expired', 'corrected')),
    at timestamptz NOT NULL,
    tenant text NOT NULL CHECK (tenant <> ''),
    end_user text,
    feature text NOT NULL,
    model text NOT NULL,
    provider text,
    prompt_version text,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    micro_usd bigint NOT NULL,
    outcome text NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, kind, at)
  ) PARTITION BY RANGE (at)`

/**
 * Make the partition of the month of each time given, one maker at a time.
 * Months more than 13 back or 2 ahead are not made: a clock that is far off
 * must not make tables. Nor is one whose entries are in the default partition
 * already; they stay there.
 *
 * Made first and attached then: that takes the weakest lock on the ledger.
 */
const months = `
  CREATE FUNCTION ballast_ledger_months(times timestamptz[]) RETURNS integer LANGUAGE plpgsql AS $$
  DECLARE
    first_day timestamp;
    part text;
    made integer := 0;
  BEGIN
    FOR first_day IN
      SELECT DISTINCT date_trunc('month', each AT TIME ZONE 'UTC') FROM unnest(times) AS each
      WHERE each > now() - interval '13 months' AND each < now() + interval '2 months'
      ORDER BY 1
    LOOP
      part := 'ledger_' || to_char(first_day, 'YYYY_MM');
      CONTINUE WHEN to_regclass(part) IS NOT NULL;
      PERFORM pg_advisory_xact_lock(7021938, 2);
      CONTINUE WHEN to_regclass(part) IS NOT NULL;
      BEGIN
        EXECUTE format('CREATE TABLE %I (LIKE ledger INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', part);
        EXECUTE format('ALTER TABLE ledger ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', part,
          first_day AT TIME ZONE 'UTC', (first_day + interval '1 month') AT TIME ZONE 'UTC');
        made := made + 1;
      EXCEPTION WHEN check_violation THEN
        NULL;
      END;
    END LOOP;
    RETURN made;
  END $$`

/** What a tenant's features, models and prompts have cost, by UTC day. Corrections are in the sums. */
const cost = `
  CREATE VIEW cost AS
    SELECT (at AT TIME ZONE 'UTC')::date AS day, tenant, end_user, feature, model, prompt_version,
      count(*) FILTER (WHERE kind <> 'corrected') AS requests,
      sum(input_tokens)::bigint AS input_tokens,
      sum(output_tokens)::bigint AS output_tokens,
      sum(micro_usd)::bigint AS micro_usd,
      (sum(micro_usd) / 1000000.0)::numeric(20, 6) AS usd
    FROM ledger
    GROUP BY 1, 2, 3, 4, 5, 6`

const audit = `
  CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL CHECK (actor <> ''),
    action text NOT NULL CHECK (action <> ''),
    subject text NOT NULL,
    before jsonb NOT NULL,
    after jsonb NOT NULL,
    reason text NOT NULL
  )`

const appendOnly = `
  CREATE FUNCTION ballast_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
  END $$`

const refuse = (table: string): ReadonlyArray<string> => [
  `CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ${table} FOR EACH ROW EXECUTE FUNCTION ballast_append_only()`,
  `CREATE TRIGGER append_only_all BEFORE TRUNCATE ON ${table} FOR EACH STATEMENT EXECUTE FUNCTION ballast_append_only()`
]

export const books: Migration = {
  id: 1,
  name: "books",
  statements: [
    ledger,
    "CREATE INDEX ledger_tenant_at ON ledger (tenant, at)",
    "CREATE TABLE ledger_default PARTITION OF ledger DEFAULT",
    months,
    cost,
    audit,
    appendOnly,
    ...refuse("ledger"),
    ...refuse("audit"),
    "SELECT ballast_ledger_months(ARRAY[now(), now() + interval '1 month'])"
  ]
}

/**
 * Tenants, their keys and their caps. Each change is said on the channel
 * `ballast_changes` when its transaction commits, so that no process goes on
 * with what it remembers.
 */
import type { Migration } from "../migration.ts"

const tenants = `
  CREATE TABLE tenants (
    id text PRIMARY KEY CHECK (id <> ''),
    plan text NOT NULL DEFAULT 'standard' CHECK (plan IN ('standard', 'premium')),
    residency text CHECK (residency <> ''),
    created_at timestamptz NOT NULL DEFAULT now()
  )`

/** Of a key there is nothing but its SHA-256. */
const keys = `
  CREATE TABLE api_keys (
    id text PRIMARY KEY CHECK (id <> ''),
    tenant text NOT NULL REFERENCES tenants (id),
    hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    rotated_to text REFERENCES api_keys (id) DEFERRABLE INITIALLY DEFERRED
  )`

/** `feature` NULL: the tenant's own. A number that is NULL is no cap. */
const caps = `
  CREATE TABLE budget_caps (
    tenant text NOT NULL CHECK (tenant <> ''),
    feature text CHECK (feature <> ''),
    "window" text NOT NULL CHECK ("window" IN ('day', 'month')),
    micro_usd bigint CHECK (micro_usd >= 0),
    tokens bigint CHECK (tokens >= 0),
    onhard text CHECK (onhard IN ('downgrade', 'refuse')),
    changed_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (tenant, feature, "window")
  )`

/**
 * The message is JSON: `{"table":"api_keys","tenant":"acme","id":"…"}`, `id` for keys alone. A tenant whose name is
 * too long for a message is left out: anybody's may have changed.
 */
const notify = `
  CREATE FUNCTION ballast_changed() RETURNS trigger LANGUAGE plpgsql AS $$
  DECLARE
    old_row jsonb := CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE to_jsonb(OLD) END;
    new_row jsonb := CASE WHEN TG_OP = 'DELETE' THEN NULL ELSE to_jsonb(NEW) END;
    one jsonb;
    message text;
  BEGIN
    FOREACH one IN ARRAY ARRAY[old_row, new_row] LOOP
      CONTINUE WHEN one IS NULL OR (one = new_row AND one = old_row);
      message := jsonb_strip_nulls(jsonb_build_object(
        'table', TG_TABLE_NAME,
        'tenant', CASE TG_TABLE_NAME WHEN 'tenants' THEN one ->> 'id' ELSE one ->> 'tenant' END,
        'id', CASE TG_TABLE_NAME WHEN 'api_keys' THEN one ->> 'id' END))::text;
      IF octet_length(message) > 7900 THEN
        message := jsonb_build_object('table', TG_TABLE_NAME)::text;
      END IF;
      PERFORM pg_notify('ballast_changes', message);
    END LOOP;
    RETURN NULL;
  END $$`

const said = (table: string): string =>
  `CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON ${table} FOR EACH ROW EXECUTE FUNCTION ballast_changed()`

export const tenantsAndKeys: Migration = {
  id: 2,
  name: "tenants",
  statements: [
    tenants,
    keys,
    "CREATE INDEX api_keys_tenant ON api_keys (tenant)",
    caps,
    notify,
    said("tenants"),
    said("api_keys"),
    said("budget_caps")
  ]
}

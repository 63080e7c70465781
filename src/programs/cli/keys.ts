/** `ballast keys`: make, list, revoke and rotate the keys of mode `store`. */
import { Clock, Console, Effect, Option, Redacted } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import type { KeyInfo } from "../../domain/api-key.ts"
import { Scope, scopes as allScopes } from "../../domain/api-key.ts"
import { TenantId } from "../../domain/caller.ts"
import type { ResolvedConfig } from "../../domain/config.ts"
import type { StoreError } from "../../domain/errors.ts"
import { Keys } from "../../services/keys.ts"
import type { NewKey } from "../../services/keys.ts"
import { durationFlag, moment } from "./amounts.ts"
import { configFlag, jsonFlag, reasonFlag, tenantFlag } from "./flags.ts"
import * as Stores from "./stores.ts"
import { table } from "./table.ts"

/** Run `work` on the keys of the configuration. */
const withKeys = <A>(config: ResolvedConfig, work: (keys: Keys["Service"]) => Effect.Effect<A, StoreError>) =>
  Effect.flatMap(Keys, work).pipe(
    Effect.provide(Stores.kept(config)),
    Effect.catchTag("StoreError", (error) => Stores.explain(error))
  )

const stateOf = ({ expiresAtMs, revokedAtMs, rotatedTo }: KeyInfo, nowMs: number): string =>
  revokedAtMs !== null
    ? "revoked"
    : expiresAtMs !== null && expiresAtMs <= nowMs
      ? "expired"
      : rotatedTo !== null
        ? "rotated"
        : "good"

const listing = (infos: ReadonlyArray<KeyInfo>, nowMs: number): string =>
  infos.length === 0
    ? "No keys. Make one with: ballast keys create --tenant TENANT --reason WHY"
    : table(
        ["id", "tenant", "plan", "residency", "scopes", "state", "made", "ends"].map((title) => ({ title })),
        infos.map((info) => [
          info.id,
          info.tenant,
          info.plan,
          info.residency ?? "any",
          info.scopes.join(","),
          stateOf(info, nowMs),
          moment(info.createdAtMs),
          info.expiresAtMs === null ? "never" : moment(info.expiresAtMs)
        ])
      )

/** A new key goes to stdout alone, so that it can be piped; what is said of it goes to stderr. */
const show = Effect.fnUntraced(function* (config: ResolvedConfig, json: boolean, { info, key }: NewKey) {
  if (json) return yield* Console.log(JSON.stringify({ key: Redacted.value(key), ...info }, undefined, 2))
  yield* Console.log(Redacted.value(key))
  const ends = info.expiresAtMs === null ? "it never expires" : `it expires at ${moment(info.expiresAtMs)}`
  yield* Console.error(
    `Key ${info.id} of tenant ${info.tenant} (${info.plan}; ${info.scopes.join(", ")}); ${ends}. It is shown this once.`
  )
  if (config.auth.mode !== "store") {
    yield* Console.error(
      `Note: auth.mode is "${config.auth.mode}", so servers with this configuration do not ask for it. Set it to "store".`
    )
  }
})

const create = Command.make(
  "create",
  {
    config: configFlag,
    json: jsonFlag,
    tenant: tenantFlag,
    plan: Flag.Literals("plan", ["standard", "premium"]).pipe(
      Flag.optional,
      Flag.withDescription("Plan of the tenant, for all of its keys; as it is where missing")
    ),
    residency: Flag.String("residency").pipe(
      Flag.optional,
      Flag.withMetavar("REGION"),
      Flag.withDescription("Where the tenant's requests may be served, for all of its keys; as it is where missing")
    ),
    scopes: Flag.Literals("scope", Scope.literals).pipe(
      Flag.atLeast(0),
      Flag.withDescription("What the key is for; may be given several times; everything where missing")
    ),
    expires: durationFlag("expires").pipe(Flag.optional, Flag.withDescription("How long it is good, e.g. 30d")),
    reason: reasonFlag
  },
  Effect.fnUntraced(function* ({ config: file, expires, json, plan, reason, residency, scopes, tenant }) {
    const config = yield* Stores.load(file)
    const act = yield* Stores.act(reason)
    const made = yield* withKeys(config, (keys) =>
      keys.create({
        ...act,
        tenant: TenantId.make(tenant),
        plan: Option.getOrUndefined(plan),
        residency: Option.getOrUndefined(residency),
        scopes: scopes.length === 0 ? allScopes : scopes,
        lifeMs: Option.getOrUndefined(expires)
      })
    )
    yield* show(config, json, made)
  })
).pipe(
  Command.withDescription("Make a key for a tenant. It is printed once; only its hash is kept."),
  Command.withShortDescription("Make a key"),
  Command.withExamples([
    {
      command: 'ballast keys create --tenant acme --plan premium --scope chat --expires 30d --reason "ticket 12"',
      description: "A key for chat that ends in 30 days"
    }
  ])
)

const list = Command.make(
  "list",
  { config: configFlag, json: jsonFlag, tenant: tenantFlag.pipe(Flag.optional) },
  Effect.fnUntraced(function* ({ config: file, json, tenant }) {
    const config = yield* Stores.load(file)
    const only = Option.getOrUndefined(Option.map(tenant, (name) => TenantId.make(name)))
    const infos = yield* withKeys(config, (keys) => keys.list(only))
    const now = yield* Clock.currentTimeMillis
    yield* Stores.print(json, infos, () => listing(infos, now))
  })
).pipe(Command.withDescription("List keys, the dead ones too, newest first"), Command.withShortDescription("List keys"))

const id = Argument.String("id").pipe(
  Argument.withMetavar("ID"),
  Argument.withDescription("The key's id, as 'ballast keys list' shows it")
)

const revoke = Command.make(
  "revoke",
  { id, config: configFlag, json: jsonFlag, reason: reasonFlag },
  Effect.fnUntraced(function* ({ config: file, id: key, json, reason }) {
    const config = yield* Stores.load(file)
    const act = yield* Stores.act(reason)
    const info = yield* withKeys(config, (keys) => keys.revoke(key, act))
    yield* Stores.print(
      json,
      info,
      () => `Key ${info.id} of tenant ${info.tenant} is revoked. Running servers refuse it within a second.`
    )
  })
).pipe(
  Command.withDescription("Refuse a key from now on, in all processes within a second"),
  Command.withShortDescription("Revoke a key")
)

const rotate = Command.make(
  "rotate",
  {
    id,
    config: configFlag,
    json: jsonFlag,
    overlap: durationFlag("overlap").pipe(
      Flag.withDefault(86_400_000),
      Flag.withDescription("How much longer the old key is good, e.g. 1d; 0s ends it now")
    ),
    reason: reasonFlag
  },
  Effect.fnUntraced(function* ({ config: file, id: key, json, overlap, reason }) {
    const config = yield* Stores.load(file)
    const act = yield* Stores.act(reason)
    yield* show(config, json, yield* withKeys(config, (keys) => keys.rotate(key, overlap, act)))
  })
).pipe(
  Command.withDescription(
    "Make a new key in place of one, which is good for the overlap (a day where missing) and then ends"
  ),
  Command.withShortDescription("Replace a key")
)

/** The command with its subcommands. */
export const keys = Command.make("keys").pipe(
  Command.withDescription("Make, list, revoke and rotate the keys of auth mode store, in stores.postgres"),
  Command.withShortDescription("Make, list, revoke and rotate keys"),
  Command.withSubcommands([create, list, revoke, rotate])
)

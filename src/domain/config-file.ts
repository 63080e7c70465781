/**
 * The shape of `ballast.config.json`. Everything is optional; what is missing
 * has the default that stands here. Unknown keys are errors, so that a
 * misspelt limit cannot silently be no limit. The JSON Schema of the package
 * is made from this module.
 *
 * What a file means once policies are merged and secrets are read is
 * `ResolvedConfig` in `config.ts`.
 */
import { Effect, Schema, Struct } from "effect"
import { BrownoutPolicy, RefusalText, ShorterPolicy } from "./brownout.ts"
import * as Budget from "./budget.ts"
import { Plan, Priority, TenantId } from "./caller.ts"
import * as Policy from "./policy.ts"

const field = <S extends Schema.Top>(schema: S, description: string) => schema.annotate({ description })

/** A key that may be missing; the default is shown in the JSON Schema as well. */
const withDefault = <S extends Schema.Top & { readonly Rebuild: S }>(
  schema: S,
  value: S["Encoded"],
  description: string
) => schema.annotate({ default: value, description }).pipe(Schema.withDecodingDefaultKey<S>(Effect.succeed(value)))

const optional = <S extends Schema.Top>(schema: S, description: string) =>
  Schema.optionalKey(schema.annotate({ description }))

const atLeast = (min: number) => Schema.Int.check(Schema.isGreaterThanOrEqualTo(min))
const Port = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 }))
const Ratio = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
const Dollars = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))

/** A secret, never itself in the file: the name of the environment variable that holds it. */
export const SecretRef = Schema.Struct({
  env: field(
    Schema.String.check(
      Schema.isPattern(/^[A-Za-z_][A-Za-z0-9_]*$/u, { expected: "the name of an environment variable" })
    ),
    "name of the environment variable that holds the secret"
  )
}).annotate({
  identifier: "SecretRef",
  description: "a secret, by the name of the environment variable that holds it",
  message: '{ "env": "NAME" }: the name of an environment variable; a secret itself never stands in the file'
})
export type SecretRef = typeof SecretRef.Type

const Name = Schema.String.check(
  Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9._-]*$/u, { expected: "a name of letters, digits, '.', '_' and '-'" })
)

const Url = Schema.String.check(
  Schema.isPattern(/^https?:\/\/[^\s/@?#]+(\/[^\s@?#]*)?$/u, {
    expected: "an http:// or https:// URL without user, query or fragment"
  })
)

const Server = Schema.Struct({
  host: withDefault(Schema.NonEmptyString, "127.0.0.1", "address to listen on"),
  port: withDefault(Port, 8080, "port to listen on; 0 picks a free one"),
  adminHost: withDefault(Schema.NonEmptyString, "127.0.0.1", "address of the metrics and health port"),
  adminPort: withDefault(Port, 9464, "port of metrics and health; 0 picks a free one"),
  bodyLimitBytes: withDefault(atLeast(1), 4_194_304, "largest request body, in bytes"),
  headerLimitBytes: withDefault(atLeast(1_024), 16_384, "largest header block of a request, in bytes"),
  bodyTimeoutMs: withDefault(atLeast(1), 10_000, "longest time for a request body to arrive, in ms"),
  slowClientMs: withDefault(atLeast(1), 10_000, "a client that takes no data for so long (ms) is cut"),
  drainMs: withDefault(atLeast(0), 20_000, "how long streams may go on after SIGTERM, in ms"),
  maxConnections: optional(atLeast(1), "most open connections; no limit where missing"),
  trustProxy: withDefault(Schema.Boolean, false, "take the client's address from x-forwarded-for"),
  maxBufferedBytes: withDefault(
    atLeast(1_024),
    262_144,
    "most unsent bytes kept for one client before its upstream is read no further"
  )
})

const Auth = Schema.Struct({
  mode: withDefault(
    Schema.Literals(["open", "keys", "store"]),
    "open",
    "open: no key is asked for, only on a loopback address; keys: the bearer keys listed here; store: those in stores.postgres"
  ),
  keys: withDefault(
    Schema.Array(
      Schema.Struct({
        key: SecretRef,
        tenant: field(TenantId, "the tenant this key stands for"),
        plan: withDefault(Plan, "standard", "premium tenants get rateLimits.premiumFactor times the limits")
      })
    ),
    [],
    "accepted keys; several may stand for one tenant"
  )
})

const Stores = Schema.Struct({
  redis: optional(
    Schema.Struct({
      url: field(SecretRef, "redis://[user:password@]host:port[/db]; for a cluster, any of its nodes"),
      cluster: withDefault(Schema.Boolean, false, "whether it is a Redis Cluster"),
      prefix: withDefault(Name, "ballast", "begins every key; deployments that share a Redis need different ones"),
      timeoutMs: withDefault(atLeast(1), 25, "longest wait for an answer, in ms"),
      safety: withDefault(
        Ratio,
        0.8,
        "while Redis is away, each process takes this share of its even part of the limits"
      )
    }),
    "what processes share: limits, leases, budgets, breakers, idempotency"
  ),
  postgres: optional(
    Schema.Struct({
      url: optional(SecretRef, "postgres://user:password@host:port/database; the embedded PGlite where missing"),
      directory: optional(Schema.NonEmptyString, "where PGlite keeps its files; memory where missing"),
      maxConnections: withDefault(atLeast(1), 4, "most connections of this process")
    }),
    "the ledger, keys, budgets and the audit table"
  )
})

const Provider = Schema.Struct({
  kind: field(
    Schema.Literals(["openai", "azure", "openai-compatible", "anthropic", "sim"]),
    "the protocol this upstream speaks; sim is built in and needs nothing"
  ),
  baseUrl: optional(
    Url,
    "address of the API, e.g. https://api.openai.com/v1; openai and anthropic have a default, sim has none"
  ),
  apiKey: optional(SecretRef, "the key of this upstream, by environment variable"),
  auth: optional(
    Schema.Literals(["bearer", "api-key", "none"]),
    "how the key is sent; by default as the kind of provider does it"
  ),
  apiVersion: optional(Schema.NonEmptyString, "Azure's api-version, e.g. 2025-04-01-preview"),
  region: optional(Schema.NonEmptyString, "where this upstream runs; candidates inherit it"),
  headers: withDefault(
    Schema.Record(Schema.String, Schema.Union([Schema.String, SecretRef])),
    {},
    "further headers of every call; secret ones by environment variable"
  ),
  doneOptional: withDefault(
    Schema.Boolean,
    false,
    "a stream may end without [DONE] once a finish reason has come (some compatible servers)"
  ),
  maxTokens: optional(atLeast(1), "max_tokens where the caller names none; Anthropic demands one"),
  connections: optional(atLeast(1), "most connections to this upstream"),
  bulkhead: withDefault(
    Policy.BulkheadPolicy.mapFields(Struct.map(Schema.optionalKey)),
    {},
    "this provider's own values over policies.bulkhead"
  ),
  limits: withDefault(
    Policy.PacingPolicy.mapFields(Struct.map(Schema.optionalKey)),
    {},
    "this provider's own rate limits, over policies.pacing"
  ),
  sim: withDefault(Schema.Record(Schema.String, Schema.Unknown), {}, "options of the simulated provider")
})

const Candidate = Schema.Union([
  Schema.String.check(Schema.isPattern(/^[^/\s]+\/\S+$/u, { expected: '"provider/model"' })),
  Schema.Struct({
    provider: field(Schema.NonEmptyString, "name of an entry of providers"),
    model: field(Schema.NonEmptyString, "the model's name there (Azure: the deployment)"),
    region: optional(Schema.NonEmptyString, "where it runs; the provider's region where missing")
  })
])

const Model = Schema.Struct({
  alias: field(Schema.NonEmptyString, "the name callers use as model"),
  kind: withDefault(Schema.Literals(["chat", "embedding"]), "chat", "what the model does"),
  candidates: field(
    Schema.NonEmptyArray(Candidate),
    'upstreams in order of preference, as "provider/model" or { provider, model, region }'
  ),
  price: field(
    Schema.Struct({
      inputPerMillion: field(Dollars, "US dollars for a million input tokens"),
      outputPerMillion: withDefault(Dollars, 0, "US dollars for a million output tokens")
    }),
    "what the model costs; write 0 for one you host yourself"
  ),
  contextTokens: withDefault(atLeast(1), 128_000, "most tokens of prompt and answer together"),
  maxOutputTokens: optional(
    atLeast(0),
    "most tokens of one answer; 16384 (or contextTokens, if less) where missing, 0 for embeddings"
  ),
  smaller: optional(
    Schema.NonEmptyString,
    "alias of the chat model that answers when none of these candidates can; callers see which one did"
  )
})

/** A limit of the file: as in the policy, and `null` takes a default limit away. */
const Limit = Schema.Struct({
  requestsPerMinute: optional(Schema.NullOr(atLeast(1)), "requests in any minute; null is no limit"),
  tokensPerMinute: optional(Schema.NullOr(atLeast(1)), "input and output tokens in any minute; null is no limit")
})

const group = <S extends Schema.Top>(schema: S, values: S["Encoded"], description: string) =>
  Schema.optionalKey(schema.annotate({ default: values, description }))

const Policies = Schema.Struct({
  timeouts: group(
    Policy.Timeouts.mapFields(Struct.map(Schema.optionalKey)),
    Policy.defaults.timeouts,
    "how long anything may take"
  ),
  rateLimits: group(
    Schema.Struct({
      user: group(Limit, Policy.defaults.rateLimits.user, "each user of a tenant"),
      ip: group(Limit, Policy.defaults.rateLimits.ip, "each client address"),
      tenant: group(Limit, Policy.defaults.rateLimits.tenant, "each tenant"),
      global: group(Limit, Policy.defaults.rateLimits.global, "this deployment as a whole"),
      premiumFactor: Schema.optionalKey(Policy.RateLimits.fields.premiumFactor)
    }),
    Policy.defaults.rateLimits,
    "how much a caller may ask for"
  ),
  leases: group(
    Policy.LeasePolicy.mapFields(Struct.map(Schema.optionalKey)),
    Policy.defaults.leases,
    "calls of a tenant in flight at once, over all processes"
  ),
  budgets: group(
    Budget.BudgetPolicy.mapFields(Struct.map(Schema.optionalKey)),
    Policy.defaults.budgets,
    "how much may be spent; amounts in micro-dollars"
  ),
  bulkhead: group(
    Policy.BulkheadPolicy.mapFields(Struct.map(Schema.optionalKey)),
    Policy.defaults.bulkhead,
    "the bounded queue before each provider"
  ),
  pacing: group(
    Policy.PacingPolicy.mapFields(Struct.map(Schema.optionalKey)),
    Policy.defaults.pacing,
    "how calls keep to the providers' own rate limits"
  ),
  breaker: group(
    Policy.BreakerPolicy.mapFields(Struct.map(Schema.optionalKey)),
    Policy.defaults.breaker,
    "when a breaker opens and how it closes again"
  ),
  retry: group(
    Policy.RetryPolicyValues.mapFields(Struct.map(Schema.optionalKey)),
    Policy.defaults.retry,
    "how often, when and how much may be retried"
  ),
  hedge: group(
    Policy.HedgePolicy.mapFields(Struct.map(Schema.optionalKey)),
    Policy.defaults.hedge,
    "a second call for a first token that is late"
  ),
  brownout: group(
    Schema.Struct({
      partial: Schema.optionalKey(BrownoutPolicy.fields.partial),
      shorter: optional(
        Schema.Struct({
          maxTokens: ShorterPolicy.fields.maxTokens,
          above: withDefault(ShorterPolicy.fields.above, 1, "callers that wait for each place; 0: when anyone waits"),
          critical: withDefault(Schema.Boolean, false, "whether answers to critical callers are shortened too")
        }),
        "shorter answers while many wait at the first candidate's provider; off where missing"
      ),
      refusal: Schema.optionalKey(RefusalText)
    }),
    Policy.defaults.brownout,
    "what callers get when a full answer cannot be had"
  )
})

const Telemetry = Schema.Struct({
  sampleRatio: withDefault(Ratio, 0.01, "share of the good requests that get a span tree"),
  slowMs: withDefault(atLeast(1), 10_000, "requests longer than this (ms) get a span tree in any case")
})

const KillSwitch = Schema.Struct({
  kind: field(Schema.Literals(["all", "feature", "model", "provider", "tenant"]), "what is switched off"),
  target: withDefault(Schema.String, "", "which one; empty for all"),
  note: optional(Schema.String, "why; callers see it")
})

/** The whole file. */
export const Config = Schema.Struct({
  $schema: optional(Schema.String, "address of this JSON Schema, for editors"),
  server: withDefault(Server, {}, "where and how the server listens"),
  auth: withDefault(Auth, {}, "who may call"),
  stores: withDefault(Stores, {}, "what several processes share; this process's memory where missing"),
  admin: withDefault(
    Schema.Struct({ token: optional(SecretRef, "bearer token of the admin API; no admin API where missing") }),
    {},
    "the admin API on the admin port"
  ),
  providers: optional(
    Schema.Record(Name, Provider),
    "upstreams by name; the simulated provider where both providers and models are missing"
  ),
  models: optional(Schema.Array(Model), "the models callers may name"),
  features: withDefault(
    Schema.Record(
      Schema.String,
      Schema.Struct({
        critical: withDefault(Schema.Boolean, true, "false: cut early, after policies.timeouts.nonCriticalMs"),
        priority: optional(
          Priority,
          "which share of a provider's places its calls ask for; critical or standard, as `critical` says, where missing"
        ),
        partial: optional(
          Schema.Boolean,
          "whether its answers may be partial; as policies.brownout.partial says, where missing"
        )
      })
    ),
    {},
    "features of the product, by the name they call under"
  ),
  policies: withDefault(Policies, {}, "guards; every value given replaces its default"),
  telemetry: withDefault(Telemetry, {}, "what is recorded; prompt and answer text never is"),
  killSwitches: withDefault(Schema.Array(KillSwitch), [], "what is switched off from the start")
}).annotate({ identifier: "BallastConfig", title: "Ballast configuration", description: "ballast.config.json" })

/** The decoded file: defaults of its own filled in, policies not yet merged, secrets still references. */
export type BallastConfig = typeof Config.Type

/** What may be written in the file. */
export type BallastConfigInput = typeof Config.Encoded

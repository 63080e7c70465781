/**
 * The configuration once everything is known: defaults filled in, policies
 * merged, prices in micro-dollars, secrets read from the environment. This is
 * what the programs are built from; the file's own shape is `config-file.ts`.
 *
 * A plain readonly value: an embedding program may write one by hand.
 */
import type { Redacted } from "effect"
import type { Plan, Priority, TenantId } from "./caller.ts"
import type { Model } from "./catalog.ts"
import type { BulkheadPolicy, PacingPolicy, Policies } from "./policy.ts"

/** Which protocol an upstream speaks; `sim` is the built-in simulated provider. */
export type ProviderKind = "openai" | "azure" | "openai-compatible" | "anthropic" | "sim"

/** How a key is sent: `Authorization: Bearer`, the vendor's own key header, or not at all. */
export type ProviderAuth = "bearer" | "api-key" | "none"

/** Where and how the server listens. Durations in ms, sizes in bytes. */
export interface ServerConfig {
  readonly host: string
  /** 0 picks a free port. */
  readonly port: number
  readonly adminHost: string
  /** 0 picks a free port. */
  readonly adminPort: number
  /** Largest request body; beyond it 413. */
  readonly bodyLimitBytes: number
  /** Largest header block of a request; beyond it 431. */
  readonly headerLimitBytes: number
  /** Longest time for a body to arrive; beyond it 408. */
  readonly bodyTimeoutMs: number
  /** A client that reads nothing for so long while data waits for it is cut. */
  readonly slowClientMs: number
  /** How long streams may go on after SIGTERM. */
  readonly drainMs: number
  /** Most open connections; `undefined` is no limit. */
  readonly maxConnections: number | undefined
  /** Take the client's address from `x-forwarded-for`. */
  readonly trustProxy: boolean
  /** Most unsent bytes kept for one client before its upstream is no longer read. */
  readonly maxBufferedBytes: number
}

/** One accepted key. */
export interface TenantKey {
  readonly key: Redacted.Redacted<string>
  readonly tenant: TenantId
  readonly plan: Plan
}

/** Who may call: everybody on this machine (`open`), the holders of the keys listed here (`keys`), or of those in Postgres (`store`). */
export interface AuthConfig {
  readonly mode: "open" | "keys" | "store"
  readonly keys: ReadonlyArray<TenantKey>
}

/** One upstream. */
export interface ProviderConfig {
  readonly name: string
  readonly kind: ProviderKind
  /** Without a trailing slash; empty for kind `sim`. */
  readonly baseUrl: string
  readonly apiKey: Redacted.Redacted<string> | undefined
  readonly auth: ProviderAuth
  /** Azure's `api-version` query parameter. */
  readonly apiVersion: string | undefined
  readonly region: string | undefined
  /** Further headers of every call, names in lower case. */
  readonly headers: Readonly<Record<string, string | Redacted.Redacted<string>>>
  /** A stream may end without `[DONE]` once a finish reason has come. */
  readonly doneOptional: boolean
  /** `max_tokens` sent where the caller named none (Anthropic demands one). */
  readonly maxTokens: number | undefined
  /** Most connections to the upstream; `undefined` is the transport's default. */
  readonly connections: number | undefined
  /** The bulkhead before this provider: its own values over `policies.bulkhead`. */
  readonly bulkhead: BulkheadPolicy
  /** Its rate limits: its own values over `policies.pacing`. */
  readonly limits: PacingPolicy
  /** Options of the simulated provider, as written. */
  readonly sim: Readonly<Record<string, unknown>>
}

/** A feature of the product that calls under this name. */
export interface FeatureConfig {
  /** `false`: cut early (`policies.timeouts.nonCriticalMs`). */
  readonly critical: boolean
  /** Where missing, `critical` decides. */
  readonly priority?: Priority
  /** Whether its answers may be partial; where missing, `policies.brownout.partial` decides. */
  readonly partial?: boolean
}

/** What is recorded. Prompt and answer text never is; there is no switch for it. */
export interface TelemetryConfig {
  /** Share of the good requests that get a span tree, 0 to 1. */
  readonly sampleRatio: number
  /** Requests longer than this (ms) get one in any case. */
  readonly slowMs: number
}

/** The fleet's Redis. */
export interface RedisConfig {
  /** `redis://[user:password@]host:port[/db]`; for a cluster, any of its nodes. */
  readonly url: Redacted.Redacted<string>
  readonly cluster: boolean
  /** Begins every key; one hash tag, so that all keys of a deployment are in one slot. */
  readonly prefix: string
  /** Longest wait for an answer, in ms. */
  readonly timeoutMs: number
  /** While Redis is away, each process takes this share of its even part of the limits. */
  readonly safety: number
}

/** The fleet's Postgres. */
export type PostgresConfig =
  /** A server: `postgres://user:password@host:port/database`. */
  | { readonly kind: "server"; readonly url: Redacted.Redacted<string>; readonly maxConnections: number }
  /** In this process, for one process alone: a directory, or memory where it is missing. */
  | { readonly kind: "pglite"; readonly directory: string | undefined }

/** What several processes share. Without it, everything is in this process's memory. */
export interface StoresConfig {
  readonly redis: RedisConfig | undefined
  readonly postgres: PostgresConfig | undefined
}

/** A switch that is off from the start. */
export interface KillSwitchConfig {
  readonly kind: "all" | "feature" | "model" | "provider" | "tenant"
  readonly target: string
  readonly note: string | undefined
}

/** The whole configuration. Secrets are `Redacted`: printing this value shows none. */
export interface ResolvedConfig {
  readonly server: ServerConfig
  readonly auth: AuthConfig
  readonly stores: StoresConfig
  /** The admin API's bearer token; without one there is no admin API. */
  readonly adminToken: Redacted.Redacted<string> | undefined
  /** By name. */
  readonly providers: Readonly<Record<string, ProviderConfig>>
  /** In the order of the file; aliases are unique and every candidate's provider exists. */
  readonly models: ReadonlyArray<Model>
  readonly policies: Policies
  readonly features: Readonly<Record<string, FeatureConfig>>
  readonly telemetry: TelemetryConfig
  readonly killSwitches: ReadonlyArray<KillSwitchConfig>
}

/**
 * From a checked file to the configuration the programs are built from. Pure:
 * the secrets have been read before.
 */
import type { Redacted } from "effect"
import type { Model } from "../../domain/catalog.ts"
import type { ProviderAuth, ProviderConfig, ResolvedConfig, StoresConfig } from "../../domain/config.ts"
import type { BallastConfig, SecretRef } from "../../domain/config-file.ts"
import * as Money from "../../domain/money.ts"
import * as Policies from "./policies.ts"

type WrittenProvider = NonNullable<BallastConfig["providers"]>[string]
type WrittenModel = NonNullable<BallastConfig["models"]>[number]

/** Gives the value of a secret that is known to exist. */
export type Reveal = (ref: SecretRef) => Redacted.Redacted<string>

const baseUrls = {
  openai: "https://api.openai.com/v1",
  anthropic: "https://api.anthropic.com/v1",
  azure: "",
  "openai-compatible": "",
  sim: ""
} as const

const authOf = (written: WrittenProvider): ProviderAuth => {
  if (written.auth !== undefined) return written.auth
  if (written.apiKey === undefined) return "none"
  return written.kind === "azure" || written.kind === "anthropic" ? "api-key" : "bearer"
}

const provider = (
  name: string,
  written: WrittenProvider,
  policies: ResolvedConfig["policies"],
  reveal: Reveal
): ProviderConfig => ({
  name,
  kind: written.kind,
  baseUrl: (written.baseUrl ?? baseUrls[written.kind]).replace(/\/+$/, ""),
  apiKey: written.apiKey === undefined ? undefined : reveal(written.apiKey),
  auth: authOf(written),
  apiVersion: written.apiVersion,
  region: written.region,
  headers: Object.fromEntries(
    Object.entries(written.headers).map(([header, value]) => [
      header.toLowerCase(),
      typeof value === "string" ? value : reveal(value)
    ])
  ),
  doneOptional: written.doneOptional,
  maxTokens: written.maxTokens,
  connections: written.connections,
  bulkhead: Policies.bulkhead(policies.bulkhead, written.bulkhead),
  limits: { ...policies.pacing, ...written.limits },
  sim: written.sim
})

const candidate = (
  written: WrittenModel["candidates"][number],
  providers: NonNullable<BallastConfig["providers"]>
): Model["candidates"][number] => {
  const slash = typeof written === "string" ? written.indexOf("/") : -1
  const named =
    typeof written === "string"
      ? { provider: written.slice(0, slash), model: written.slice(slash + 1), region: undefined }
      : written
  const region = named.region ?? providers[named.provider]?.region
  return { provider: named.provider, model: named.model, ...(region === undefined ? {} : { region }) }
}

const model = (written: WrittenModel, providers: NonNullable<BallastConfig["providers"]>): Model => {
  const [first, ...others] = written.candidates
  return {
    alias: written.alias,
    kind: written.kind,
    candidates: [candidate(first, providers), ...others.map((each) => candidate(each, providers))],
    price: {
      input: Money.fromDollars(written.price.inputPerMillion),
      output: Money.fromDollars(written.price.outputPerMillion)
    },
    contextTokens: written.contextTokens,
    maxOutputTokens:
      written.maxOutputTokens ?? (written.kind === "embedding" ? 0 : Math.min(16_384, written.contextTokens)),
    ...(written.smaller === undefined ? {} : { smaller: written.smaller })
  }
}

const stores = ({ postgres, redis }: BallastConfig["stores"], reveal: Reveal): StoresConfig => ({
  redis: redis === undefined ? undefined : { ...redis, url: reveal(redis.url) },
  postgres:
    postgres === undefined
      ? undefined
      : postgres.url === undefined
        ? { kind: "pglite", directory: postgres.directory }
        : { kind: "server", url: reveal(postgres.url), maxConnections: postgres.maxConnections }
})

/** The configuration that `config`, which passed its checks, means. */
export const resolve = (config: BallastConfig, reveal: Reveal): ResolvedConfig => {
  const providers = config.providers ?? {}
  const policies = Policies.merge(config.policies)
  return {
    server: { ...config.server, maxConnections: config.server.maxConnections },
    auth: {
      mode: config.auth.mode,
      keys: config.auth.keys.map(({ key, plan, tenant }) => ({ key: reveal(key), tenant, plan }))
    },
    stores: stores(config.stores, reveal),
    adminToken: config.admin.token === undefined ? undefined : reveal(config.admin.token),
    providers: Object.fromEntries(
      Object.entries(providers).map(([name, each]) => [name, provider(name, each, policies, reveal)])
    ),
    models: (config.models ?? []).map((each) => model(each, providers)),
    policies,
    features: config.features,
    telemetry: config.telemetry,
    killSwitches: config.killSwitches.map(({ kind, note, target }) => ({ kind, target, note }))
  }
}

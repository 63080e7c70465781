/**
 * OpenAI, Azure OpenAI, and everything that speaks OpenAI's protocol. A new
 * vendor is a base URL and, where it differs, an auth and a quirk:
 *
 * ```ts
 * export const groq = (apiKey: Redacted.Redacted<string>) =>
 *   openaiCompatible({ baseUrl: "https://api.groq.com/openai/v1", auth: Auth.bearer(apiKey) })
 * ```
 */
import { Effect } from "effect"
import type { Redacted } from "effect"
import type { Upstream } from "../../services/provider.ts"
import type { Transport } from "../../services/transport.ts"
import * as Auth from "./auth.ts"
import * as Endpoint from "./endpoint.ts"
import * as HttpUpstream from "./http-upstream.ts"
import type { HttpUpstreamOptions } from "./http-upstream.ts"
import * as OpenAiProtocol from "./openai-protocol.ts"
import type { OpenAiProtocolOptions } from "./openai-protocol.ts"

const paths = { chat: "/chat/completions", embeddings: "/embeddings" }

/** Settings that all upstreams share. */
export type CommonOptions = Omit<HttpUpstreamOptions, "protocol" | "endpoint" | "auth">

/** `organization` and `project` become the headers of that name. `baseUrl` defaults to OpenAI's own. */
export interface OpenAiOptions extends CommonOptions {
  readonly apiKey: Redacted.Redacted<string>
  readonly baseUrl?: string | undefined
  readonly organization?: string | undefined
  readonly project?: string | undefined
}

/** OpenAI itself. */
export const openai = (options: OpenAiOptions): Effect.Effect<Upstream, never, Transport> =>
  openaiCompatible({
    ...options,
    baseUrl: options.baseUrl ?? "https://api.openai.com/v1",
    auth: Auth.bearer(options.apiKey),
    headers: {
      ...options.headers,
      ...(options.organization === undefined ? {} : { "openai-organization": options.organization }),
      ...(options.project === undefined ? {} : { "openai-project": options.project })
    }
  })

/** `baseUrl` is the resource, e.g. `https://NAME.openai.azure.com`; a candidate's model is the deployment. */
export interface AzureOptions extends CommonOptions {
  readonly apiKey: Redacted.Redacted<string>
  readonly baseUrl: string
  readonly apiVersion: string
}

/** Azure OpenAI by deployment URL. */
export const azure = (options: AzureOptions): Effect.Effect<Upstream, never, Transport> =>
  Effect.suspend(() =>
    HttpUpstream.make({
      ...options,
      protocol: OpenAiProtocol.make(),
      endpoint: Endpoint.azureDeployment(options.baseUrl, options.apiVersion),
      auth: Auth.apiKey(options.apiKey)
    })
  )

/** `auth` defaults to none, for local servers. */
export interface OpenAiCompatibleOptions extends CommonOptions, OpenAiProtocolOptions {
  readonly baseUrl: string
  readonly auth?: Auth.Auth | undefined
}

/** Any server that speaks OpenAI's protocol: vLLM, Ollama, another Ballast … Dies where `baseUrl` is not an http(s) URL. */
export const openaiCompatible = (options: OpenAiCompatibleOptions): Effect.Effect<Upstream, never, Transport> =>
  Effect.suspend(() =>
    HttpUpstream.make({
      ...options,
      protocol: OpenAiProtocol.make(options),
      endpoint: Endpoint.fromBaseUrl(options.baseUrl, paths),
      auth: options.auth ?? Auth.none
    })
  )

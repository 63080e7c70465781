/**
 * The configuration Ballast is measured with: every guard on, every limit so high that none refuses, one
 * OpenAI-compatible provider that is the mock.
 */
import type { BallastConfigInput } from "../../src/domain/config-file.ts"

export interface BallastSetup {
  /** Content of the generated configuration file. */
  readonly config: BallastConfigInput
  /** Environment of the server process: secrets are only ever referred to by name in the file. */
  readonly env: Readonly<Record<string, string>>
  /** What a client sends with each request. */
  readonly headers: Readonly<Record<string, string>>
}

const HIGH = { requestsPerMinute: 1_000_000_000, tokensPerMinute: 1_000_000_000_000 }
const KEY = "sk-bench"

/** `models`: every name the load generator asks for; the mock knows the pace of a stream by it, so it must pass through. */
export const ballastConfig = (mockUrl: string, port: number, models: ReadonlyArray<string>): BallastSetup => ({
  config: {
    server: { host: "127.0.0.1", port, adminPort: 0 },
    auth: { mode: "keys", keys: [{ key: { env: "BENCH_CLIENT_KEY" }, tenant: "bench" }] },
    providers: {
      mock: { kind: "openai-compatible", baseUrl: `${mockUrl}/v1`, apiKey: { env: "BENCH_PROVIDER_KEY" } }
    },
    models: models.map((alias) => ({
      alias,
      candidates: [`mock/${alias}`] as const,
      price: { inputPerMillion: 0.15, outputPerMillion: 0.6 }
    })),
    policies: {
      timeouts: { hardMs: 60_000, firstTokenMs: 60_000, idleMs: 60_000, streamMs: 120_000 },
      rateLimits: { user: HIGH, ip: HIGH, tenant: HIGH, global: HIGH },
      bulkhead: { maxInFlight: 4096 }
    }
  },
  env: { BENCH_CLIENT_KEY: KEY, BENCH_PROVIDER_KEY: "sk-mock" },
  headers: { authorization: `Bearer ${KEY}` }
})

/**
 * What Ballast serves when nobody configured anything: the simulated provider
 * behind a few models. Two of them carry the names that OpenAI's quick-start
 * uses, so that a stock client works unchanged. Prices are those of the real
 * models they stand for, so that costs look real.
 */
import type { BallastConfigInput } from "./config-file.ts"

/**
 * The built-in provider; also there when a file lists models and no providers.
 * Quick and brief, so that a first try answers in about a second.
 */
export const providers = {
  sim: {
    kind: "sim",
    sim: {
      ttft: { medianMs: 150, sigma: 0.3 },
      perToken: { medianMs: 10, sigma: 0.3 },
      outputTokens: { median: 60, sigma: 0.4 }
    }
  }
} as const satisfies BallastConfigInput["providers"]

/** The built-in models: a large and a small chat model, an embedding model, and two well-known names for them. */
export const models = [
  {
    alias: "sim-chat",
    kind: "chat",
    candidates: ["sim/sim-large"],
    price: { inputPerMillion: 2.5, outputPerMillion: 10 },
    contextTokens: 128_000,
    maxOutputTokens: 16_384
  },
  {
    alias: "sim-small",
    kind: "chat",
    candidates: ["sim/sim-small"],
    price: { inputPerMillion: 0.15, outputPerMillion: 0.6 },
    contextTokens: 128_000,
    maxOutputTokens: 16_384
  },
  {
    alias: "sim-embed",
    kind: "embedding",
    candidates: ["sim/sim-embed"],
    price: { inputPerMillion: 0.02 },
    contextTokens: 8_191
  },
  {
    alias: "gpt-4o-mini",
    kind: "chat",
    candidates: ["sim/sim-small"],
    price: { inputPerMillion: 0.15, outputPerMillion: 0.6 },
    contextTokens: 128_000,
    maxOutputTokens: 16_384
  },
  {
    alias: "text-embedding-3-small",
    kind: "embedding",
    candidates: ["sim/sim-embed"],
    price: { inputPerMillion: 0.02 },
    contextTokens: 8_191
  }
] as const satisfies BallastConfigInput["models"]

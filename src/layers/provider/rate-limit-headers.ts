/**
 * What an upstream says is left of its limits, from both families of headers:
 * OpenAI's `x-ratelimit-remaining-*` (Azure, Groq, vLLM proxies …) and
 * Anthropic's `anthropic-ratelimit-*-remaining`.
 */
import type { UpstreamLimits } from "../../services/provider.ts"
import type { Header } from "./retry-after.ts"

/** Nothing was said. */
const unknown: UpstreamLimits = { remainingRequests: undefined, remainingTokens: undefined }

/** What is left, by the headers of an answer. Azure's -1 means that it does not know. */
export const fromHeaders = (header: Header): UpstreamLimits => {
  const requests = header("x-ratelimit-remaining-requests") ?? header("anthropic-ratelimit-requests-remaining")
  const tokens = header("x-ratelimit-remaining-tokens") ?? header("anthropic-ratelimit-tokens-remaining")
  if (requests === undefined && tokens === undefined) return unknown
  return { remainingRequests: count(requests), remainingTokens: count(tokens) }
}

const count = (value: string | undefined): number | undefined =>
  value !== undefined && /^\s*\d+\s*$/.test(value) ? Number(value) : undefined

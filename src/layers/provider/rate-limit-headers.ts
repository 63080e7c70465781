/**
 * What an upstream says is left of its limits, from both families of headers:
 * OpenAI's `x-ratelimit-remaining-*` (Azure, Groq, vLLM proxies …) and
 * Anthropic's `anthropic-ratelimit-*-remaining`.
 */
import type { UpstreamLimits } from "../../services/provider.ts"
import type { Header } from "./retry-after.ts"

/** Nothing was said. */
const unknown: UpstreamLimits = { remainingRequests: undefined, remainingTokens: undefined }

/**
 * The limits and what is left of them, by the headers of an answer. Azure's -1
 * means that it does not know. Anthropic's times of reset are dates, which say
 * nothing that its limits a minute do not.
 */
export const fromHeaders = (header: Header): UpstreamLimits => {
  const requests = header("x-ratelimit-remaining-requests") ?? header("anthropic-ratelimit-requests-remaining")
  const tokens = header("x-ratelimit-remaining-tokens") ?? header("anthropic-ratelimit-tokens-remaining")
  if (requests === undefined && tokens === undefined) return unknown
  const limitRequests = count(header("x-ratelimit-limit-requests") ?? header("anthropic-ratelimit-requests-limit"))
  const limitTokens = count(header("x-ratelimit-limit-tokens") ?? header("anthropic-ratelimit-tokens-limit"))
  const resetRequestsMs = duration(header("x-ratelimit-reset-requests"))
  const resetTokensMs = duration(header("x-ratelimit-reset-tokens"))
  return {
    remainingRequests: count(requests),
    remainingTokens: count(tokens),
    ...(limitRequests === undefined ? {} : { limitRequests }),
    ...(limitTokens === undefined ? {} : { limitTokens }),
    ...(resetRequestsMs === undefined ? {} : { resetRequestsMs }),
    ...(resetTokensMs === undefined ? {} : { resetTokensMs })
  }
}

const count = (value: string | undefined): number | undefined =>
  value !== undefined && /^\s*\d+\s*$/.test(value) ? Number(value) : undefined

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** OpenAI's durations (`6m0s`, `8.64s`, `120ms`) in ms. */
const duration = (value: string | undefined): number | undefined => {
  const text = value?.trim() ?? ""
  if (!/^(?:\d+(?:\.\d+)?(?:ms|[smhd]))+$/.test(text)) return undefined
  let ms = 0
  for (const [, number = "0", unit = "ms"] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhd])/g)) {
    ms += Number(number) * (unitMs[unit] ?? 0)
  }
  return ms
}

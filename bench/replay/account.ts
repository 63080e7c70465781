/**
 * One request of a replay, and what became of it. Every request ends in exactly
 * one of four ways; one that does not is lost.
 */
import { request } from "undici"
import type { Dispatcher } from "undici"

/**
 * - `answered`: the whole answer, or a stream to its `[DONE]`
 * - `refused`: an error response that names its reason before any provider was to blame
 * - `cancelled`: we left on purpose
 * - `failed`: everything else: an error of the provider, a stream that broke, a connection that went away
 */
export type Kind = "answered" | "refused" | "cancelled" | "failed"

/** The end of one request. `status` 0: no response had come. */
export interface Ending {
  readonly kind: Kind
  readonly reason: string
  readonly status: number
  readonly ms: number
}

/** When a client leaves: before anything came, or after some bytes of a stream. */
export type Leaving =
  | { readonly _tag: "AfterMs"; readonly ms: number }
  | { readonly _tag: "AfterPieces"; readonly pieces: number }

/** What to send. */
export interface Ask {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Readonly<Record<string, unknown>>
  readonly leaving: Leaving | undefined
  readonly dispatcher: Dispatcher
}

/** Codes of Ballast's own refusals; other codes speak of a provider. */
const refusals = new Set([
  "rate_limit_exceeded",
  "request_exceeds_limit",
  "server_is_overloaded",
  "provider_unavailable",
  "feature_disabled",
  "shutting_down",
  "context_length_exceeded",
  "model_not_found",
  "invalid_api_key",
  "invalid_value",
  "invalid_json",
  "request_too_large"
])

/** Send one request and account for it. Never rejects. */
export const send = async ({ body, dispatcher, headers, leaving, url }: Ask): Promise<Ending> => {
  const startedAt = performance.now()
  const abort = new AbortController()
  let left = false
  let status = 0
  const leave = () => {
    left = true
    abort.abort()
  }
  const timer = leaving?._tag === "AfterMs" ? setTimeout(leave, leaving.ms) : undefined
  const end = (kind: Kind, reason: string): Ending => ({ kind, reason, status, ms: performance.now() - startedAt })
  try {
    const response = await request(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
      signal: abort.signal,
      dispatcher,
      headersTimeout: 120_000,
      bodyTimeout: 120_000
    })
    status = response.statusCode
    let text = ""
    let pieces = 0
    response.body.setEncoding("utf8")
    for await (const piece of response.body) {
      text += piece
      if (leaving?._tag === "AfterPieces" && status === 200 && ++pieces === leaving.pieces) leave()
    }
    if (status !== 200) {
      const code = codeOf(text) ?? `status ${status}`
      return end(refusals.has(code) ? "refused" : "failed", code)
    }
    return body["stream"] === true ? streamed(text, end) : whole(text, end)
  } catch (error) {
    if (left) return end("cancelled", status === 0 ? "before the answer" : "in the middle")
    return end("failed", error instanceof Error ? ("code" in error && String(error.code)) || error.name : "unknown")
  } finally {
    clearTimeout(timer)
  }
}

type End = (kind: Kind, reason: string) => Ending

const streamed = (text: string, end: End): Ending => {
  const inBand = /^data: (\{"error".*)$/mu.exec(text)
  if (inBand !== null) return end("failed", `in the stream: ${codeOf(inBand[1] ?? "") ?? "unknown"}`)
  return text.endsWith("data: [DONE]\n\n") ? end("answered", "stream") : end("failed", "stream without its end")
}

const whole = (text: string, end: End): Ending => {
  try {
    const parsed: unknown = JSON.parse(text)
    if (typeof parsed === "object" && parsed !== null && "choices" in parsed) return end("answered", "whole")
  } catch {
    // Falls through: an answer that cannot be read is none.
  }
  return end("failed", "an answer that is none")
}

const codeOf = (text: string): string | undefined => {
  try {
    const parsed = JSON.parse(text) as { readonly error?: { readonly code?: string | null } }
    return parsed.error?.code ?? undefined
  } catch {
    return undefined
  }
}

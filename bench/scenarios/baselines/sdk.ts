/**
 * Calls as a provider's own client library makes them: openai-node's retries
 * (`maxRetries` 2; 0.5 s x 2^n up to 8 s, less up to a quarter by chance; a
 * Retry-After of at most a minute is kept to), each visit given up at its
 * deadline.
 */
import pRetry from "p-retry"
import type { Visit } from "../../../src/programs/simulate/visit.ts"
import { CallFailed } from "../world/calls.ts"
import type { Call } from "../world/calls.ts"
import type { Baseline } from "../world/play.ts"
import * as Deadline from "./deadline.ts"

const firstMs = 500
const mostMs = 8_000
const mostAskedMs = 60_000

const retried = new Set(["RateLimited", "Overloaded", "ServerError", "Unreachable", "Timeout"])

const pauseMs = (error: CallFailed, retry: number): number => {
  const asked = error.retryAfterMs
  if (asked !== undefined && asked <= mostAskedMs) return asked
  return Math.min(mostMs, firstMs * 2 ** retry) * (1 - 0.25 * Math.random())
}

const sleep = (ms: number, signal: AbortSignal) =>
  new Promise<void>((resolve, reject) => {
    const timer = setTimeout(resolve, ms)
    const leave = () => {
      clearTimeout(timer)
      reject(new CallFailed("aborted"))
    }
    signal.addEventListener("abort", leave, { once: true })
  })

/** Ask with the library's retries. */
export const ask = async (
  call: Call,
  provider: string,
  visit: Visit,
  signal: AbortSignal,
  maxRetries: number
): Promise<{ readonly ended: Promise<void> }> => {
  for (let retry = 0; ; retry++) {
    try {
      return await call(provider, visit, signal)
    } catch (error) {
      if (signal.aborted || retry >= maxRetries || !(error instanceof CallFailed) || !retried.has(error.code))
        throw error
      await sleep(pauseMs(error, retry), signal)
    }
  }
}

/** The library alone. */
export const sdk =
  (options: { readonly provider: string }): Baseline =>
  (call) =>
  (visit, firstToken) =>
    Deadline.within(visit.patienceMs, async (signal) => {
      const { ended } = await ask(call, options.provider, visit, signal, 2)
      firstToken()
      await ended
    })

/** The same inside p-retry, as an application does that does not know of the library's retries. */
export const sdkRetried =
  (options: { readonly provider: string }): Baseline =>
  (call) =>
  (visit, firstToken) =>
    Deadline.within(visit.patienceMs, (signal) =>
      pRetry(
        async () => {
          const { ended } = await ask(call, options.provider, visit, signal, 2)
          firstToken()
          await ended
        },
        { retries: 3, signal }
      )
    )

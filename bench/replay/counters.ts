/** What the server itself counted, read from its `/metrics` page. */
import { request } from "undici"

/** `llm_requests_total` by outcome, and the gauge of requests in flight. */
export interface Counters {
  readonly byOutcome: ReadonlyMap<string, number>
  readonly inFlight: number
}

/** Read the counters; `undefined` where the page cannot be read. */
export const read = async (url: string): Promise<Counters | undefined> => {
  let text: string
  try {
    const response = await request(url)
    text = await response.body.text()
  } catch {
    return undefined
  }
  const byOutcome = new Map<string, number>()
  let inFlight = 0
  for (const line of text.split("\n")) {
    const value = Number(line.slice(line.lastIndexOf(" ") + 1))
    if (line.startsWith("llm_requests_total{")) {
      const outcome = /outcome="([^"]*)"/u.exec(line)?.[1] ?? "?"
      byOutcome.set(outcome, (byOutcome.get(outcome) ?? 0) + value)
    } else if (/^llm_requests_in_flight[{ ]/u.test(line)) {
      inFlight += value
    }
  }
  return { byOutcome, inFlight }
}

/** What was counted between two readings. */
export const between = (before: Counters, after: Counters): Counters => ({
  byOutcome: new Map(
    [...after.byOutcome].map(([outcome, count]) => [outcome, count - (before.byOutcome.get(outcome) ?? 0)] as const)
  ),
  inFlight: after.inFlight
})

/** Read until nothing is in flight, at most `withinMs`. */
export const quiet = async (url: string, withinMs: number): Promise<Counters | undefined> => {
  const until = performance.now() + withinMs
  for (;;) {
    const counters = await read(url)
    if (counters === undefined || counters.inFlight === 0 || performance.now() > until) return counters
    await new Promise((resume) => setTimeout(resume, 50))
  }
}

/** Two calls for every visit, and the faster one wins: `Promise.any`, as blog posts have it. */
import type { Baseline } from "../world/play.ts"

/** The loser is aborted at the winner's first token. */
export const promiseAny =
  (options: { readonly provider: string }): Baseline =>
  (call) =>
  async (visit, firstToken) => {
    const runners = [new AbortController(), new AbortController()]
    const { ended, winner } = await Promise.any(
      runners.map(async (runner) => ({ ...(await call(options.provider, visit, runner.signal)), winner: runner }))
    )
    for (const runner of runners) if (runner !== winner) runner.abort()
    firstToken()
    await ended
  }

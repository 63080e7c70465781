/**
 * Calls wrapped in p-retry, each try with a timeout of its own: the usual
 * advice ("retry with exponential backoff"), followed.
 */
import pRetry from "p-retry"
import type { Baseline } from "../world/play.ts"
import * as Deadline from "./deadline.ts"

/**
 * p-retry 9 with three retries and otherwise its defaults (1 s, 2 s, 4 s);
 * `jitter` is its own `randomize`. Each try is aborted after `tryMs`.
 */
export const retrying =
  (options: { readonly provider: string; readonly tryMs: number; readonly jitter: boolean }): Baseline =>
  (call) =>
  (visit, firstToken) =>
    pRetry(
      () =>
        Deadline.within(options.tryMs, async (signal) => {
          const { ended } = await call(options.provider, visit, signal)
          firstToken()
          await ended
        }),
      { retries: 3, randomize: options.jitter }
    )

/** Time limits as applications write them: an `AbortSignal` for a call. */

/** The caller's time was over. */
export class TimedOut extends Error {
  override readonly name = "TimedOut"
}

/**
 * Run `work` with a signal that is aborted after `ms`; then it fails with
 * `TimedOut`. The same as `AbortSignal.timeout`, whose own timers cannot follow
 * virtual time.
 */
export const within = async <A>(ms: number, work: (signal: AbortSignal) => Promise<A>): Promise<A> => {
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(), Math.max(0, ms))
  try {
    return await work(controller.signal)
  } catch (error) {
    throw controller.signal.aborted ? new TimedOut("timed out") : error
  } finally {
    clearTimeout(timer)
  }
}

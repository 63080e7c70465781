/** Hedging by hand: a fixed delay, answers by script, and everything it was told written down. */
import { Layer } from "effect"
import { Hedging } from "../../src/services/hedging.ts"

export interface HedgingLog {
  /** `key: 12`, `key: 12 censored`, `key: 12 censored late`. */
  readonly observed: Array<string>
  /** Keys of the calls that were late. */
  readonly late: Array<string>
  /** Time that the late calls had left, in ms. */
  readonly leftMs: Array<number>
  /** Tokens taken, and given back as negative numbers. */
  readonly spent: Array<number>
  readonly earned: Array<number>
}

/** Calls are late after `delayMs`; `worth` and `affordable` are what hedging says then. */
export const fixed = (delayMs: number | undefined, options: { worth?: boolean; affordable?: boolean } = {}) => {
  const log: HedgingLog = { observed: [], late: [], leftMs: [], spent: [], earned: [] }
  const layer = Layer.succeed(Hedging, {
    delayMs: () => delayMs,
    late: (key, leftMs) => {
      log.late.push(key)
      log.leftMs.push(leftMs)
      return options.worth !== false
    },
    spend: (tokens) => {
      if (options.affordable === false) return false
      log.spent.push(tokens)
      return true
    },
    refund: (tokens) => void log.spent.push(-tokens),
    observe: (key, ms, censored, late) =>
      void log.observed.push(`${key}: ${ms}${censored ? " censored" : ""}${late ? " late" : ""}`),
    earn: (tokens) => void log.earned.push(tokens)
  })
  return { layer, log }
}

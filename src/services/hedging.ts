/**
 * When a late first token is worth a second call. Hedging ends the slow tail
 * (Dean and Barroso, "The Tail at Scale", CACM 2013), but only where a few
 * calls are slow: when all are, it would add load where there is too little
 * room already, so it stops by itself.
 *
 * It knows what is usual (the recent first tokens of each candidate) and what
 * hedges may cost (a share of the tokens billed). Whether there is room for one
 * more call is the retry budget's and the bulkhead's to say.
 */
import { Context } from "effect"

export class Hedging extends Context.Service<
  Hedging,
  {
    /**
     * How long (ms) a call to `key` may be without a first token before it is
     * late; `undefined` while nothing is hedged there: switched off, too little
     * known, or everything slow.
     */
    readonly delayMs: (key: string) => number | undefined
    /**
     * A call to `key` has become late. Whether a second call is worth trying:
     * not when too many others are late too, nor when `leftMs`, the time until
     * the deadline, is less than a first token usually takes.
     */
    readonly late: (key: string, leftMs: number) => boolean
    /** Whether a second call with `tokens` input tokens keeps the cost cap; takes them out of it if so. */
    readonly spend: (tokens: number) => boolean
    /** The second call for which `spend` has paid was not made. */
    readonly refund: (tokens: number) => void
    /**
     * A call to `key` showed its first token after `ms`, or was given up after
     * `ms` without one (`censored`). `late`: {@link late} was told of it.
     */
    readonly observe: (key: string, ms: number, censored: boolean, late: boolean) => void
    /** An answer cost `tokens` tokens, input and output: what earns hedges. */
    readonly earn: (tokens: number) => void
  }
>()("ballast/services/Hedging") {}

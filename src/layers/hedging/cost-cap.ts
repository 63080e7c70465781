/**
 * What hedges may cost: a purse of tokens, into which every answer pays a share
 * of its own, and out of which every second call takes its prompt. It begins
 * empty and never owes, so over any time since the start hedges have cost at
 * most that share of what answers have.
 */

/** Saved up are at most so many answers' worth of tokens, so that calm hours do not pay for one wild minute. */
const mostAnswers = 10

/** Weight of an answer in the mean size of answers. */
const weight = 1 / 64

export class CostCap {
  private readonly share: number
  private saved = 0
  private mean = 0

  /** `share` of the tokens of answers, 0 to 1. */
  constructor(share: number) {
    this.share = share
  }

  /** Tokens that could be spent now. */
  get available(): number {
    return this.saved
  }

  /** An answer of `tokens` tokens, input and output. */
  earn(tokens: number): void {
    this.mean = this.mean === 0 ? tokens : this.mean + (tokens - this.mean) * weight
    this.put(this.share * tokens)
  }

  /** Take out `tokens`, if they are there. */
  spend(tokens: number): boolean {
    if (tokens > this.saved) return false
    this.saved -= tokens
    return true
  }

  /** Put `tokens` back that were spent for nothing. */
  refund(tokens: number): void {
    this.put(tokens)
  }

  private put(tokens: number): void {
    this.saved = Math.min(mostAnswers * this.mean, this.saved + tokens)
  }
}

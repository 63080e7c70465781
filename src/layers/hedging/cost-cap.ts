/**
 * What hedges may cost: a purse of tokens, into which every answer pays a share
 * of its own, and out of which every second call takes its prompt. It begins
 * empty and never owes, so over any time since the start hedges have cost at
 * most that share of what answers have.
 */

/** Saved up are at most so many answers' worth of tokens, so that calm hours do not pay for one wild minute. */
const mostAnswers = 10

/** Weight of a sample in the mean size of answers, and in that of second calls. */
const weight = 1 / 64

const towards = (mean: number, value: number): number => (mean === 0 ? value : mean + (value - mean) * weight)

export class CostCap {
  private readonly share: number
  private saved = 0
  private meanAnswer = 0
  private meanHedge = 0
  private short = false

  /** `share` of the tokens of answers, 0 to 1. */
  constructor(share: number) {
    this.share = share
  }

  /** Tokens that could be spent now. */
  get available(): number {
    return this.saved
  }

  /** The share of calls whose hedges it can pay for in the long run, where it has come short; 1 where it has not. */
  get affordable(): number {
    return this.short ? Math.min(1, (this.share * this.meanAnswer) / this.meanHedge) : 1
  }

  /** An answer of `tokens` tokens, input and output. */
  earn(tokens: number): void {
    this.meanAnswer = towards(this.meanAnswer, tokens)
    this.put(this.share * tokens)
  }

  /** Take out `tokens`, if they are there. */
  spend(tokens: number): boolean {
    this.meanHedge = towards(this.meanHedge, tokens)
    if (tokens > this.saved) {
      this.short = true
      return false
    }
    this.saved -= tokens
    return true
  }

  /** Put `tokens` back that were spent for nothing. */
  refund(tokens: number): void {
    this.put(tokens)
  }

  private put(tokens: number): void {
    const most = mostAnswers * this.meanAnswer
    this.saved = Math.min(most, this.saved + tokens)
    if (this.saved >= most / 4) this.short = false
  }
}

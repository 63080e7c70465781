/**
 * How much output to set money aside for: all that the request may ask for, or
 * a quantile of what such requests did need.
 *
 * A quantile of the last answers of the same model and feature, kept in a ring
 * (nearest rank). Until there are enough of them, the most is set aside.
 */
import type { BudgetPolicy } from "../../domain/budget.ts"

/** Answers remembered for each model and feature. */
const remembered = 256
/** Answers before the quantile means anything: a 95th percentile of fewer is their maximum. */
const enough = 20
/** Models and features remembered at once; the one learned longest ago is forgotten first. */
const mostKeys = 4_096

class Ring {
  private readonly values: Array<number> = []
  private next = 0
  private sorted: ReadonlyArray<number> | undefined

  add(value: number): void {
    this.values[this.next] = value
    this.next = (this.next + 1) % remembered
    this.sorted = undefined
  }

  quantile(q: number): number | undefined {
    if (this.values.length < enough) return undefined
    this.sorted ??= this.values.toSorted((a, b) => a - b)
    return this.sorted[Math.min(this.sorted.length - 1, Math.ceil(q * this.sorted.length) - 1)]
  }
}

/** Estimates output tokens. */
export class Estimate {
  private readonly rings = new Map<string, Ring>()
  private readonly learned: boolean
  private readonly quantile: number

  constructor({ quantile, reserve }: BudgetPolicy) {
    this.learned = reserve === "learned"
    this.quantile = quantile
  }

  /** Output tokens to set aside for a request that may have `most`. */
  output(model: string, feature: string, most: number): number {
    if (!this.learned) return most
    return Math.min(most, this.rings.get(`${model}\n${feature}`)?.quantile(this.quantile) ?? most)
  }

  /** An answer had so many output tokens. */
  learn(model: string, feature: string, tokens: number): void {
    if (!this.learned) return
    const key = `${model}\n${feature}`
    const ring = this.rings.get(key) ?? new Ring()
    this.rings.delete(key)
    this.rings.set(key, ring)
    ring.add(tokens)
    if (this.rings.size <= mostKeys) return
    for (const oldest of this.rings.keys()) {
      this.rings.delete(oldest)
      break
    }
  }
}

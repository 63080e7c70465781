/**
 * Watches what a stream costs while it goes by, against what was set aside for
 * it: asks for more before that is used up, and says when it has to be cut.
 */
import { Effect } from "effect"
import * as Catalog from "../domain/catalog.ts"
import { BudgetError } from "../domain/errors.ts"
import * as Guard from "../services/guard.ts"
import type { Account } from "./account.ts"
import type { Request } from "./request.ts"

/** More is asked for when so much of what was set aside is used: the answer comes before the rest is. */
const askAt = 0.9
/** Each time by at least so many output tokens, and by a quarter of what there is: a handful of questions for any stream. */
const leastTokens = 256
const growth = 0.25

/** One stream's money. */
export class CostCap {
  private readonly request: Request
  private readonly model: Catalog.Model
  private readonly account: Account
  private refused = false

  constructor(request: Request, model: Catalog.Model, account: Account) {
    this.request = request
    this.model = model
    this.account = account
  }

  /** After so many characters of the answer: whether it may go on. `undefined`: it may. */
  check(chars: number): Effect.Effect<boolean> | undefined {
    const { budget } = this.account
    const { record, tokens } = this.request
    const input = record.estimatedInput
    const output = tokens.estimateText(this.model.alias, chars)
    const cost = Catalog.cost(this.model.price, { prompt_tokens: input, completion_tokens: output })
    const total = input + output
    if (cost <= askAt * budget.granted() && total <= askAt * budget.grantedTokens()) return undefined
    const within = () => cost <= budget.granted() && total <= budget.grantedTokens()
    if (this.refused) return within() ? undefined : Effect.succeed(false)
    const more = Math.max(leastTokens, Math.ceil(growth * total))
    const price = Catalog.cost(this.model.price, { prompt_tokens: 0, completion_tokens: more })
    return Effect.map(budget.extend(price, more), (granted) => {
      this.refused = !granted
      return granted || within()
    })
  }

  /** The error whose words the reader of a cut stream is told. */
  error(): BudgetError {
    const { budget } = this.account
    const limit = budget.granted()
    return Guard.refusal(
      () =>
        new BudgetError({
          requestId: this.request.record.id,
          reason: { _tag: "Exhausted", scope: "request", window: "request", unit: "micro-usd", limit, used: limit }
        })
    )
  }
}

/**
 * What a request asks of a budget, the same wherever the counters are: which
 * caps it falls under, how much is to be set aside for it, and what that means.
 */
import { Effect } from "effect"
import { downgradeOf } from "../../domain/budget.ts"
import type { BudgetPolicy, Caps as TenantCaps, CapState } from "../../domain/budget.ts"
import { cost } from "../../domain/catalog.ts"
import type { BudgetError } from "../../domain/errors.ts"
import type { Budget, BudgetRequest, BudgetReservation } from "../../services/budget.ts"
import type { BudgetCaps } from "../../services/budget-caps.ts"
import type * as Guard from "../../services/guard.ts"
import * as Caps from "./caps.ts"
import type { AppliedCap } from "./caps.ts"
import type { Estimate } from "./estimate.ts"

/** A request in numbers. `output`: tokens that are set aside for the answer. */
export interface Question {
  readonly request: BudgetRequest
  readonly caps: ReadonlyArray<AppliedCap>
  readonly input: number
  readonly output: number
  readonly asked: Caps.Asked
}

/** Answers a question that no cap as a whole stands against. */
export type Decide = (
  question: Question,
  restore: Guard.Restore,
  requestId: string | undefined
) => Effect.Effect<BudgetReservation, BudgetError>

/** The raw way into a budget: the caller's caps, then its question, then `decide`. */
export const asking =
  (
    policy: BudgetPolicy,
    estimate: Estimate,
    budgetCaps: BudgetCaps["Service"],
    decide: Decide
  ): Budget["Service"]["reserveUnsafe"] =>
  (request) =>
  (restore, requestId) => {
    const under = (ofTenant: TenantCaps): Effect.Effect<BudgetReservation, BudgetError> => {
      const question = questionOf(policy, estimate, ofTenant, request)
      const tooLarge = Caps.neverFits(requestId, everyCap(policy, question.caps), question.asked)
      return tooLarge === undefined ? decide(question, restore, requestId) : Effect.fail(tooLarge)
    }
    const { tenant } = request.caller
    const known = budgetCaps.capsOf(tenant)
    if (known !== undefined) return under(known)
    // A cap that cannot be read must not be taken for none.
    const read = Effect.mapError(restore(budgetCaps.load(tenant)), () => Caps.unavailable(requestId))
    return Effect.flatMap(read, under)
  }

/** The caps of tenant and feature, and the request's own. */
const everyCap = (policy: BudgetPolicy, caps: ReadonlyArray<AppliedCap>) => [
  { cap: policy.request, scope: "request", window: "request" } as const,
  ...caps
]

const questionOf = (
  policy: BudgetPolicy,
  estimate: Estimate,
  ofTenant: TenantCaps,
  request: BudgetRequest
): Question => {
  const { caller, elastic, inputTokens, model, outputTokens, price } = request
  const caps = Caps.applied(policy, ofTenant, caller.tenant, caller.feature)
  const input = Caps.amount(inputTokens)
  const most = estimate.output(model, caller.feature, Caps.amount(outputTokens))
  const output = elastic === true ? Caps.roomFor(everyCap(policy, caps), price, input, most) : most
  const microUsd = cost(price, { prompt_tokens: input, completion_tokens: output })
  return { request, caps, input, output, asked: { microUsd, tokens: input + output } }
}

/** What the hard threshold means for a request whose caps stand at `states`. */
export const adviceOf = (
  policy: BudgetPolicy,
  { caller }: BudgetRequest,
  states: ReadonlyArray<CapState>
): BudgetReservation["advice"] =>
  downgradeOf(policy, caller.plan) !== undefined && Caps.past(states, policy.downgrade).length > 0
    ? "downgrade"
    : "full"

/** Whether each request has a cap of its own. */
export const isBounded = ({ request }: BudgetPolicy): boolean =>
  request.microUsd !== undefined || request.tokens !== undefined

/** Whether one request may hold so much. */
export const fitsRequest = ({ request }: BudgetPolicy, microUsd: number, tokens: number): boolean =>
  (request.microUsd === undefined || microUsd <= request.microUsd) &&
  (request.tokens === undefined || tokens <= request.tokens)

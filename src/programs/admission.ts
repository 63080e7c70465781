/**
 * Whether a request may begin: rate limits, a place among its tenant's calls,
 * and its budget, asked together. Stores that hold several of them see one
 * question; what one of them gave goes back where another refused.
 *
 * Near the end of a budget, plans that ask for it get a smaller model and a
 * shorter context instead of a refusal (`downgrade.ts`).
 */
import { Effect, Exit } from "effect"
import { cost } from "../domain/catalog.ts"
import type { Model } from "../domain/catalog.ts"
import { maxOutputTokens } from "../domain/chat.ts"
import type { ChatRequest } from "../domain/chat.ts"
import type { BudgetError, LeaseError, RateLimitError } from "../domain/errors.ts"
import type { BudgetReservation } from "../services/budget.ts"
import * as Guard from "../services/guard.ts"
import type { TenantLease } from "../services/leases.ts"
import type { Reservation } from "../services/rate-limiter.ts"
import { Account } from "./account.ts"
import { admitted } from "./request.ts"
import type { Request } from "./request.ts"
import type { Size } from "./sizing.ts"

/**
 * Prompts are counted by estimate before the call; so much more is set aside
 * for them, that money is not overdrawn where the estimate was low. Calibrated
 * estimates are within this of the provider's count (docs/decisions/0019).
 */
const inputMargin = 1.1

/**
 * Ask for everything that `size` needs. `outputTokens`: what money is set aside
 * for; `bounded`: there cannot be more of it. Only inside an uninterruptible region.
 */
export const enter = (
  request: Request,
  model: Model,
  size: Size,
  outputTokens: number,
  bounded: boolean
): Effect.Effect<Account, RateLimitError | LeaseError | BudgetError> => {
  const { budget, leases, limiter, record, restore } = request
  const { caller, id } = record
  // Each acts when it is called, so they are called before any of them is waited for.
  const limits = limiter.reserveUnsafe(caller, size.input + size.output)(restore, id)
  const place = leases.acquireUnsafe(caller)(restore, id)
  const inputTokens = Math.ceil(size.input * inputMargin)
  const asked = { caller, model: model.alias, price: model.price, inputTokens, outputTokens, elastic: !bounded }
  const money = budget.reserveUnsafe(asked)(restore, id)
  const most = bounded ? cost(model.price, { prompt_tokens: inputTokens, completion_tokens: outputTokens }) : Infinity
  return Guard.chain(exitOf(limits), (first) =>
    Guard.chain(exitOf(place), (second) =>
      Guard.chain(exitOf(money), (third) => together(request, first, second, third, most))
    )
  )
}

/** `Effect.exit`, without an operation where it is done already. */
const exitOf = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<Exit.Exit<A, E>> =>
  // An Exit is an effect of the same A and E; the guard of isExit forgets them.
  Exit.isExit(effect) ? Exit.succeed(effect as Exit.Exit<A, E>) : Effect.exit(effect)

/**
 * {@link enter} for a chat request: money for the most that its answer may come
 * to. A stream without a limit of its own begins with an ordinary answer's, for
 * it can be cut.
 */
export const chat = (request: Request, model: Model, asked: ChatRequest, size: Size) => {
  const bounded = maxOutputTokens(asked) !== undefined
  const whole = asked.stream !== true
  const output = bounded || !whole ? size.output : model.maxOutputTokens * (asked.n ?? 1)
  return enter(request, model, size, output, bounded || whole)
}

const together = (
  request: Request,
  limits: Exit.Exit<Reservation, RateLimitError>,
  place: Exit.Exit<TenantLease, LeaseError>,
  money: Exit.Exit<BudgetReservation, BudgetError>,
  most: number
): Effect.Effect<Account, RateLimitError | LeaseError | BudgetError> => {
  if (Exit.isSuccess(limits) && Exit.isSuccess(place) && Exit.isSuccess(money)) {
    const account = new Account(limits.value, place.value, money.value, money.value.granted() < most)
    admitted(request, account)
    return Effect.succeed(account)
  }
  if (Exit.isSuccess(limits)) limits.value.release()
  if (Exit.isSuccess(place)) place.value.release()
  if (Exit.isSuccess(money)) money.value.release()
  if (Exit.isFailure(limits)) return Exit.failCause(limits.cause)
  if (Exit.isFailure(place)) return Exit.failCause(place.cause)
  return Exit.isFailure(money) ? Exit.failCause(money.cause) : Effect.die("an admission that nobody refused")
}

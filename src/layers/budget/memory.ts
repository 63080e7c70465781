/**
 * Budgets in the memory of this process, for one process alone. What was spent
 * before it started is read from the books, once for each window.
 *
 * Nothing expires: a process that is gone has lost its counters with it, and
 * the next one begins with what the books say.
 */
import { Clock, Effect, Layer, Random } from "effect"
import type { BudgetPolicy } from "../../domain/budget.ts"
import { downgradeOf } from "../../domain/budget.ts"
import type { BudgetError, StoreError } from "../../domain/errors.ts"
import { Budget } from "../../services/budget.ts"
import * as BudgetPort from "../../services/budget.ts"
import type { BudgetRequest, BudgetReservation, BudgetStatus } from "../../services/budget.ts"
import { BudgetCaps } from "../../services/budget-caps.ts"
import * as Guard from "../../services/guard.ts"
import { Ledger } from "../../services/ledger.ts"
import * as ProcessId from "../admission/process-id.ts"
import * as Caps from "./caps.ts"
import type { AppliedCap } from "./caps.ts"
import * as Entry from "./entry.ts"
import { Estimate } from "./estimate.ts"
import * as Question from "./question.ts"
import * as Windows from "./windows.ts"

/** What was spent and is reserved under one cap in one window. */
class Counter {
  microUsd: number
  tokens: number
  reservedMicroUsd = 0
  reservedTokens = 0
  readonly endsMs: number

  constructor(endsMs: number, microUsd: number, tokens: number) {
    this.endsMs = endsMs
    this.microUsd = microUsd
    this.tokens = tokens
  }
}

interface Counted {
  readonly applied: AppliedCap
  readonly counter: Counter
}

/** Counters are looked through for ended windows each time so many more of them were made. */
const sweepEvery = 1_024

/** What stands in the way of so much more; `undefined` where nothing does. */
const inTheWay = (requestId: string | undefined, counted: ReadonlyArray<Counted>, microUsd: number, tokens: number) => {
  for (const { applied, counter } of counted) {
    const { cap } = applied
    const usedMicroUsd = counter.microUsd + counter.reservedMicroUsd
    if (cap.microUsd !== undefined && usedMicroUsd + microUsd > cap.microUsd) {
      return Caps.exhausted(requestId, applied, "micro-usd", usedMicroUsd)
    }
    const usedTokens = counter.tokens + counter.reservedTokens
    if (cap.tokens !== undefined && usedTokens + tokens > cap.tokens) {
      return Caps.exhausted(requestId, applied, "tokens", usedTokens)
    }
  }
  return undefined
}

const take = (counted: ReadonlyArray<Counted>, microUsd: number, tokens: number): void => {
  for (const { counter } of counted) {
    counter.reservedMicroUsd += microUsd
    counter.reservedTokens += tokens
  }
}

const keyOf = ({ name, window }: AppliedCap, at: number) => `${name}:${Windows.nameOf(window, at)}`

/** Budgets of this process. */
export const make = Effect.fnUntraced(function* (policy: BudgetPolicy) {
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const ledger = yield* Ledger
  const budgetCaps = yield* BudgetCaps
  const now = () => clock.currentTimeMillisUnsafe()
  const estimate = new Estimate(policy)
  const counters = new Map<string, Counter>()
  const prefix = ProcessId.make(random)
  let made = 0

  const keep = (key: string, counter: Counter): Counter => {
    if (counters.size % sweepEvery === 0) {
      for (const [old, { endsMs }] of counters) if (endsMs < now() - policy.reservationMs) counters.delete(old)
    }
    counters.set(key, counter)
    return counter
  }

  /** The counter of a cap, from the books where this window is new. */
  const counterOf = (applied: AppliedCap, at: number): Effect.Effect<Counted, StoreError> => {
    const key = keyOf(applied, at)
    const counter = counters.get(key)
    if (counter !== undefined) return Effect.succeed({ applied, counter })
    const span = Windows.spanOf(Windows.nameOf(applied.window, at))
    return Effect.map(ledger.sum({ tenant: applied.tenant, feature: applied.feature, ...span }), (sum) => ({
      applied,
      // Another request may have been quicker.
      counter: counters.get(key) ?? keep(key, new Counter(span.toMs, sum.microUsd, sum.tokens))
    }))
  }

  const countersOf = (caps: ReadonlyArray<AppliedCap>, at: number): Effect.Effect<ReadonlyArray<Counted>, StoreError> =>
    caps.every((applied) => counters.has(keyOf(applied, at)))
      ? Effect.succeed(caps.map((applied) => ({ applied, counter: counters.get(keyOf(applied, at))! })))
      : Effect.forEach(caps, (applied) => counterOf(applied, at))

  const decide: Question.Decide = (question, restore, requestId) => {
    const at = now()
    const { asked, caps, request } = question
    const under = (counted: ReadonlyArray<Counted>): Effect.Effect<BudgetReservation, BudgetError> => {
      const refused = inTheWay(requestId, counted, asked.microUsd, asked.tokens)
      if (refused !== undefined) return Effect.fail(refused)
      take(counted, asked.microUsd, asked.tokens)
      return Effect.succeed(hold(`${prefix}-${++made}`, request, counted, asked, at))
    }
    if (caps.length === 0) return under([])
    const found = restore(countersOf(caps, at))
    return Guard.chain(
      Effect.mapError(found, () => Caps.unavailable(requestId)),
      under
    )
  }

  const hold = (
    id: string,
    request: BudgetRequest,
    counted: ReadonlyArray<Counted>,
    asked: Caps.Asked,
    at: number
  ): BudgetReservation => {
    const { caller } = request
    const states = counted.flatMap(({ applied, counter }) =>
      Caps.statesOf(applied, counter.microUsd + counter.reservedMicroUsd, counter.tokens + counter.reservedTokens)
    )
    const capped = counted.length > 0 || Question.isBounded(policy)
    let open = true
    let { microUsd, tokens } = asked
    const close = (): boolean => {
      if (!open) return false
      open = false
      take(counted, -microUsd, -tokens)
      return true
    }
    return {
      id,
      granted: () => (capped ? microUsd : Infinity),
      grantedTokens: () => (capped ? tokens : Infinity),
      advice: Question.adviceOf(policy, request, states),
      warnings: Caps.past(states, policy.soft),
      extend: (more, moreTokens) =>
        Effect.sync(() => {
          if (!open) return false
          if (!capped) return true
          const [usd, count] = [Caps.amount(more), Caps.amount(moreTokens)]
          if (!Question.fitsRequest(policy, microUsd + usd, tokens + count)) return false
          if (inTheWay(undefined, counted, usd, count) !== undefined) return false
          take(counted, usd, count)
          microUsd += usd
          tokens += count
          return true
        }),
      settle: (spending) => {
        if (!close()) return
        const entry = Entry.settled(id, at, request, spending)
        for (const { counter } of counted) {
          counter.microUsd += entry.microUsd
          counter.tokens += entry.inputTokens + entry.outputTokens
        }
        estimate.learn(request.model, caller.feature, entry.outputTokens)
        ledger.append(entry)
      },
      release: () => void close()
    }
  }

  const status = (
    tenant: BudgetRequest["caller"]["tenant"],
    feature?: string
  ): Effect.Effect<BudgetStatus, StoreError> =>
    Effect.flatMap(budgetCaps.load(tenant), (own) =>
      Effect.map(countersOf(Caps.applied(policy, own, tenant, feature), now()), (counted) => ({
        caps: counted.flatMap(({ applied, counter }) =>
          Caps.statesOf(
            applied,
            counter.microUsd + counter.reservedMicroUsd,
            counter.tokens + counter.reservedTokens
          ).map((state) => ({
            ...state,
            name: applied.name,
            spent: state.unit === "tokens" ? counter.tokens : counter.microUsd,
            reserved: state.unit === "tokens" ? counter.reservedTokens : counter.reservedMicroUsd
          }))
        )
      }))
    )

  /** One process has one truth: what the books say of a window, once all that is on its way there is written. */
  const recompute = Effect.fnUntraced(function* (tenant: BudgetRequest["caller"]["tenant"]) {
    yield* ledger.flush
    const at = now()
    for (const applied of Caps.applied(policy, yield* budgetCaps.load(tenant), tenant)) {
      const sum = yield* ledger.sum({ tenant, ...Windows.spanOf(Windows.nameOf(applied.window, at)) })
      const { counter } = yield* counterOf(applied, at)
      counter.microUsd = sum.microUsd
      counter.tokens = sum.tokens
    }
    return yield* status(tenant)
  })

  return BudgetPort.make({
    reserveUnsafe: Question.asking(policy, estimate, budgetCaps, decide),
    downgrade: ({ plan }) => downgradeOf(policy, plan),
    status,
    recompute
  })
})

/** {@link make} as a layer. */
export const layer = (policy: BudgetPolicy): Layer.Layer<Budget, never, Ledger | BudgetCaps> =>
  Layer.effect(Budget, make(policy))

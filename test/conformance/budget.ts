/** What every layer of the Budget port must do, in real time. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scheduler, Scope } from "effect"
import type { BudgetPolicy } from "../../src/domain/budget.ts"
import * as Caller from "../../src/domain/caller.ts"
import type { LedgerEntry } from "../../src/domain/ledger.ts"
import type { Budget, BudgetRequest, Spending } from "../../src/services/budget.ts"

/** A budget for a policy, and what it has written to the books so far. */
export interface Opened {
  readonly budget: Budget["Service"]
  readonly booked: Effect.Effect<ReadonlyArray<LedgerEntry>>
}
export type Open = (policy: Partial<BudgetPolicy>) => Effect.Effect<Opened, never, Scope.Scope>

const acme = Caller.make("acme", { user: "ann", feature: "search" })

/** A dollar for a million tokens, so a token costs a micro-dollar. */
const price = { input: 1_000_000, output: 1_000_000 }

export const ask = (inputTokens: number, outputTokens: number, caller = acme): BudgetRequest => ({
  caller,
  model: "m",
  price,
  inputTokens,
  outputTokens
})

export const spent = (cost: number): Spending => ({ inputTokens: cost, outputTokens: 0, cost, outcome: "ok" })

const until = (check: Effect.Effect<boolean>): Effect.Effect<void> =>
  Effect.suspend(() => Effect.flatMap(check, (ok) => (ok ? Effect.void : Effect.delay(until(check), 5))))

export const suite = (name: string, open: Open, skip = false): void => {
  describe.skipIf(skip)(`Budget: ${name}`, () => {
    const live = <A, E>(
      title: string,
      policy: Partial<BudgetPolicy>,
      test: (opened: Opened) => Effect.Effect<A, E, Scope.Scope>
    ) => it.live(title, () => Effect.scoped(Effect.flatMap(open(policy), test)))

    /** Spent and reserved micro-dollars of the tenant's day. */
    const used = (budget: Budget["Service"]) =>
      Effect.map(Effect.orDie(budget.status(acme.tenant)), ({ caps }) => {
        const day = caps.find(({ unit, window }) => window === "day" && unit === "micro-usd")
        return { spent: day?.spent, reserved: day?.reserved }
      })
    const settles = (budget: Budget["Service"], expected: { spent: number; reserved: number }) =>
      until(Effect.map(used(budget), (now) => now.spent === expected.spent && now.reserved === expected.reserved))
    const day = (microUsd: number) => ({ tenant: { day: { microUsd } } })
    const reasonOf = <A, R>(effect: Effect.Effect<A, { readonly reason: { readonly _tag: string } }, R>) =>
      Effect.map(Effect.flip(effect), ({ reason }) => reason._tag)

    live("reserves, settles to what it was, and books it once", day(100), ({ booked, budget }) =>
      Effect.gen(function* () {
        const reservation = yield* budget.reserve(ask(40, 20))
        assert.strictEqual(reservation.granted(), 60)
        assert.strictEqual(yield* reasonOf(Effect.scoped(budget.reserve(ask(41, 0)))), "Exhausted")
        reservation.settle(spent(30))
        reservation.settle(spent(99))
        reservation.release()
        yield* settles(budget, { spent: 30, reserved: 0 })
        yield* Effect.scoped(budget.reserve(ask(70, 0)))
        assert.strictEqual(yield* reasonOf(Effect.scoped(budget.reserve(ask(71, 0)))), "Exhausted")
        yield* until(Effect.map(booked, (entries) => entries.length === 1))
        const [entry] = yield* booked
        assert.deepInclude(entry, {
          tenant: acme.tenant,
          user: "ann",
          feature: "search",
          microUsd: 30,
          kind: "settled"
        })
      })
    )

    live("gives back what was neither settled nor needed, and books nothing", day(100), ({ booked, budget }) =>
      Effect.gen(function* () {
        yield* Effect.scoped(budget.reserve(ask(100, 0)))
        yield* settles(budget, { spent: 0, reserved: 0 })
        assert.deepStrictEqual(yield* booked, [])
      })
    )

    live("larger than the whole cap is another mistake than a cap that is used up", day(100), ({ budget }) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* reasonOf(Effect.scoped(budget.reserve(ask(101, 0)))), "NeverFits")
        assert.strictEqual(yield* reasonOf(Effect.scoped(budget.reserve(ask(2 ** 60, 2 ** 60)))), "NeverFits")
      })
    )

    live(
      "every cap counts: day, month, tokens, feature, request",
      {
        tenant: { day: { microUsd: 1_000 }, month: { microUsd: 900, tokens: 800 } },
        features: { search: { day: { microUsd: 500 } } },
        request: { microUsd: 300 }
      },
      ({ budget }) =>
        Effect.gen(function* () {
          assert.strictEqual(yield* reasonOf(Effect.scoped(budget.reserve(ask(301, 0)))), "NeverFits")
          const first = yield* budget.reserve(ask(300, 0))
          assert.strictEqual(yield* reasonOf(Effect.scoped(budget.reserve(ask(201, 0)))), "Exhausted")
          const other = Caller.make("acme", { feature: "other" })
          yield* budget.reserve(ask(300, 0, other))
          const error = yield* Effect.flip(Effect.scoped(budget.reserve(ask(201, 0, other))))
          assert.deepInclude(error.reason, { scope: "tenant", window: "month", unit: "tokens" })
          first.release()
        })
    )

    live(
      "tenants do not share a budget, whatever they are called",
      {
        ...day(100),
        features: { f: { day: { microUsd: 100 } } }
      },
      ({ budget }) =>
        Effect.gen(function* () {
          yield* budget.reserve(ask(100, 0))
          yield* budget.reserve(ask(100, 0, Caller.make("acme:day")))
          yield* budget.reserve(ask(100, 0, Caller.make("a", { feature: "f" })))
          yield* budget.reserve(ask(100, 0, Caller.make("a:f", { feature: "f" })))
        })
    )

    live("a race has no more winners than there is money", day(1_000), ({ budget }) =>
      Effect.gen(function* () {
        const exits = yield* Effect.forEach(
          Array.from({ length: 200 }),
          () => Effect.exit(budget.reserve(ask(70, 30))),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(exits.filter(Exit.isSuccess).length, 10)
        assert.deepStrictEqual(yield* used(budget), { spent: 0, reserved: 1_000 })
      })
    )

    live("a reservation grows as far as its caps allow", { ...day(100), request: { microUsd: 90 } }, ({ budget }) =>
      Effect.gen(function* () {
        const reservation = yield* budget.reserve(ask(50, 0))
        assert.isTrue(yield* reservation.extend(20, 20))
        assert.strictEqual(reservation.granted(), 70)
        assert.isFalse(yield* reservation.extend(21, 21))
        const other = yield* budget.reserve(ask(30, 0))
        assert.isFalse(yield* reservation.extend(1, 1))
        other.release()
        yield* settles(budget, { spent: 0, reserved: 70 })
        assert.isTrue(yield* reservation.extend(20, 20))
        reservation.settle(spent(85))
        yield* settles(budget, { spent: 85, reserved: 0 })
      })
    )

    live(
      "warns from the soft share on, and advises from the hard one, by plan",
      {
        ...day(100),
        soft: 0.5,
        downgrade: 0.8
      },
      ({ budget }) =>
        Effect.gen(function* () {
          const first = yield* budget.reserve(ask(40, 0))
          assert.deepStrictEqual(first.warnings, [])
          const second = yield* budget.reserve(ask(20, 0))
          assert.deepInclude(second.warnings[0], { scope: "tenant", window: "day", used: 60, limit: 100 })
          const standard = yield* budget.reserve(ask(20, 0))
          assert.strictEqual(standard.advice, "full")
          standard.release()
          yield* settles(budget, { spent: 0, reserved: 60 })
          const premium = yield* budget.reserve(ask(20, 0, Caller.make("acme", { plan: "premium" })))
          assert.strictEqual(premium.advice, "downgrade")
        })
    )

    live("without a cap nothing is refused, and all is booked", {}, ({ booked, budget }) =>
      Effect.gen(function* () {
        const reservation = yield* budget.reserve(ask(1e9, 1e9))
        assert.strictEqual(reservation.granted(), Infinity)
        reservation.settle(spent(7))
        reservation.settle(spent(8))
        yield* until(Effect.map(booked, (entries) => entries.length > 0))
        assert.deepStrictEqual(
          (yield* booked).map(({ microUsd }) => microUsd),
          [7]
        )
      })
    )

    live("what cannot be an amount is none", day(100), ({ budget }) =>
      Effect.gen(function* () {
        const reservation = yield* budget.reserve(ask(-5, Number.NaN))
        assert.strictEqual(reservation.granted(), 0)
        reservation.settle({ inputTokens: -1, outputTokens: Number.NaN, cost: -1_000, outcome: "ok" })
        yield* settles(budget, { spent: 0, reserved: 0 })
      })
    )

    live(
      "learned estimates set aside what such answers came to",
      { ...day(100_000), reserve: "learned", quantile: 0.9 },
      ({ budget }) =>
        Effect.gen(function* () {
          for (let i = 1; i <= 100; i++) {
            const reservation = yield* Effect.scoped(
              Effect.tap(budget.reserve(ask(0, 500)), (held) =>
                Effect.sync(() => held.settle({ inputTokens: 0, outputTokens: i, cost: i, outcome: "ok" }))
              )
            )
            assert.isAtMost(reservation.granted(), 500)
          }
          const learned = yield* budget.reserve(ask(0, 500))
          assert.strictEqual(learned.granted(), 90)
          // Never more than the request may have.
          assert.strictEqual((yield* budget.reserve(ask(0, 10))).granted(), 10)
        })
    )

    live("interrupted anywhere, nothing stays reserved", day(1_000_000), ({ budget }) =>
      Effect.gen(function* () {
        for (let ops = 3; ops <= 40; ops++) {
          const fiber = yield* Effect.forkChild(
            Effect.provideService(
              Effect.scoped(Effect.andThen(budget.reserve(ask(10, 10)), Effect.never)),
              Scheduler.MaxOpsBeforeYield,
              ops
            )
          )
          for (let turn = 0; turn < ops % 7; turn++) yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
        }
        yield* settles(budget, { spent: 0, reserved: 0 })
      })
    )
  })
}

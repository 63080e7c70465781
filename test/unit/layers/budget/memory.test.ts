import { Context, Effect, Layer } from "effect"
import { defaults } from "../../../../src/domain/budget.ts"
import * as AuditMemory from "../../../../src/layers/audit/memory.ts"
import * as BudgetMemory from "../../../../src/layers/budget/memory.ts"
import * as BudgetCapsConfig from "../../../../src/layers/budget-caps/config.ts"
import { Budget } from "../../../../src/services/budget.ts"
import { suite } from "../../../conformance/budget.ts"
import * as Books from "../../../support/books.ts"

suite("memory", (some) =>
  Effect.gen(function* () {
    const policy = { ...defaults, ...some }
    const books = Books.make()
    const context = yield* Layer.build(
      BudgetMemory.layer(policy).pipe(
        Layer.provide(books.layer),
        Layer.provide(BudgetCapsConfig.layer(policy).pipe(Layer.provide(AuditMemory.layer)))
      )
    )
    return { budget: Context.get(context, Budget), booked: Effect.sync(() => books.entries) }
  })
)

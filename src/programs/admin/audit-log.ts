/** `/admin/audit`: who did what, newest first. */
import { Effect, Schema } from "effect"
import type { Audit } from "../../services/audit.ts"
import * as Answer from "./answer.ts"
import type { Routes } from "./answer.ts"

const Limit = Schema.Struct({
  limit: Schema.optionalKey(
    Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 1, maximum: 1_000 }))
  )
})

/** Acts that are shown where nobody says how many. */
const usual = 100

export const routes = (audit: Audit["Service"]): Routes => [
  {
    method: "GET",
    path: "/admin/audit",
    work: Effect.gen(function* () {
      const { limit = usual } = yield* Answer.query(Limit)
      return { data: yield* audit.list(limit) }
    })
  }
]

/** `/admin/breakers`: the state of each candidate's breaker, and opening and closing it by hand. */
import { Effect, Schema } from "effect"
import { HttpRouter } from "effect/http"
import * as Candidate from "../../domain/candidate.ts"
import type { Audit } from "../../services/audit.ts"
import type { Catalog } from "../../services/catalog.ts"
import type { CircuitBreaker } from "../../services/circuit-breaker.ts"
import * as Answer from "./answer.ts"
import type { Routes } from "./answer.ts"

/** A breaker is held open or closed by hand for a day at most: nobody remembers it longer. */
const HeldMs = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 86_400_000 }))

const TripBody = Schema.Struct({ forMs: HeldMs, reason: Answer.Reason })

const ResetBody = Schema.Struct({ forMs: Schema.optionalKey(HeldMs), reason: Answer.Reason })

export const routes = (services: {
  readonly audit: Audit["Service"]
  readonly breaker: CircuitBreaker["Service"]
  readonly catalog: Catalog["Service"]
}): Routes => {
  const { audit, breaker, catalog } = services
  const known = new Set(catalog.list.flatMap(({ candidates }) => candidates.map(Candidate.key)))

  const stateOf = (key: string) => Effect.map(breaker.state(key), (state) => ({ key, state }))

  const key = Effect.flatMap(HttpRouter.params, ({ key: asked = "" }) =>
    known.has(asked)
      ? Effect.succeed(asked)
      : new Answer.AdminError({
          status: 404,
          detail: `There is no breaker '${asked}'. GET /admin/breakers lists them.`
        })
  )

  return [
    {
      method: "GET",
      path: "/admin/breakers",
      work: Effect.map(Effect.forEach([...known].toSorted(), stateOf), (data) => ({ data }))
    },
    {
      method: "POST",
      path: "/admin/breakers/:key/trip",
      work: Effect.gen(function* () {
        const subject = yield* key
        const { forMs, reason } = yield* Answer.body(TripBody)
        const before = yield* breaker.state(subject)
        const act = yield* Answer.act(reason)
        yield* audit.record({ ...act, action: "breaker.trip", subject, before, after: { state: "open", forMs } })
        yield* breaker.trip(subject, forMs)
        return yield* stateOf(subject)
      })
    },
    {
      method: "POST",
      path: "/admin/breakers/:key/reset",
      work: Effect.gen(function* () {
        const subject = yield* key
        const { forMs, reason } = yield* Answer.body(ResetBody)
        const before = yield* breaker.state(subject)
        const act = yield* Answer.act(reason)
        const after = { state: "closed", forMs: forMs ?? null }
        yield* audit.record({ ...act, action: "breaker.reset", subject, before, after })
        yield* breaker.reset(subject, forMs)
        return yield* stateOf(subject)
      })
    }
  ]
}

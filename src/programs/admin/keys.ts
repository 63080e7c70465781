/** `/admin/keys`: make, list, rotate and revoke keys. */
import { Effect, Redacted, Schema } from "effect"
import { HttpRouter } from "effect/http"
import { Scope } from "../../domain/api-key.ts"
import { Plan, TenantId } from "../../domain/caller.ts"
import { longestMs } from "../../layers/keys/rules.ts"
import type { Keys, NewKey } from "../../services/keys.ts"
import * as Answer from "./answer.ts"
import type { Routes } from "./answer.ts"

const Duration = (minimum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum: longestMs }))

const NewKeyBody = Schema.Struct({
  tenant: TenantId,
  plan: Schema.optionalKey(Plan),
  residency: Schema.optionalKey(Schema.NonEmptyString),
  scopes: Schema.NonEmptyArray(Scope),
  expiresInMs: Schema.optionalKey(Duration(1)),
  reason: Answer.Reason
})

const RotateBody = Schema.Struct({ overlapMs: Duration(0), reason: Answer.Reason })

const ListQuery = Schema.Struct({ tenant: Schema.optionalKey(TenantId) })

const RevokeQuery = Schema.Struct({ reason: Answer.Reason })

/** The one answer with a key in it. */
const shown = ({ info, key }: NewKey) => ({ key: Redacted.value(key), ...info })

const id = Effect.map(HttpRouter.params, (params) => params["id"] ?? "")

export const routes = (keys: Keys["Service"]): Routes => [
  {
    method: "GET",
    path: "/admin/keys",
    work: Effect.gen(function* () {
      const { tenant } = yield* Answer.query(ListQuery)
      return { data: yield* keys.list(tenant) }
    })
  },
  {
    method: "POST",
    path: "/admin/keys",
    status: 201,
    work: Effect.gen(function* () {
      const { expiresInMs, reason, ...rest } = yield* Answer.body(NewKeyBody)
      const act = yield* Answer.act(reason)
      return shown(yield* keys.create({ ...act, ...rest, lifeMs: expiresInMs }))
    })
  },
  {
    method: "DELETE",
    path: "/admin/keys/:id",
    work: Effect.gen(function* () {
      const { reason } = yield* Answer.query(RevokeQuery)
      return yield* keys.revoke(yield* id, yield* Answer.act(reason))
    })
  },
  {
    method: "POST",
    path: "/admin/keys/:id/rotate",
    status: 201,
    work: Effect.gen(function* () {
      const { overlapMs, reason } = yield* Answer.body(RotateBody)
      return shown(yield* keys.rotate(yield* id, overlapMs, yield* Answer.act(reason)))
    })
  }
]

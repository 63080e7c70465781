/**
 * Acts in Postgres. Within a transaction of the caller an act is a part of it:
 * the act and its row are there together, or neither is.
 */
import { Effect, Layer } from "effect"
import { Audit } from "../../services/audit.ts"
import type { AuditEntry } from "../../services/audit.ts"
import { Postgres } from "../postgres/client.ts"
import * as Entry from "./entry.ts"

export const layer: Layer.Layer<Audit, never, Postgres> = Layer.effect(
  Audit,
  Effect.gen(function* () {
    const { ask, sql } = yield* Postgres
    return Audit.of({
      record: (entry) =>
        Effect.flatMap(Entry.keep(entry), ({ action, actor, after, before, reason, subject }) =>
          Effect.asVoid(
            ask(sql`
              INSERT INTO audit (actor, action, subject, before, after, reason)
              VALUES (${actor}, ${action}, ${subject}, ${before}::jsonb, ${after}::jsonb, ${reason})`)
          )
        ),
      list: (limit) =>
        ask(sql<AuditEntry>`
          SELECT (extract(epoch FROM at) * 1000)::float8 AS "atMs", actor, action, subject, before, after, reason
          FROM audit ORDER BY id DESC LIMIT ${Entry.rows(limit)}`)
    })
  })
)

/** An Audit in memory that refuses to write when it is told to. */
import { Context, Effect, Layer } from "effect"
import { StoreError } from "../../src/domain/errors.ts"
import { Audit } from "../../src/services/audit.ts"
import type { AuditEntry } from "../../src/services/audit.ts"

/** What a test may look at and break. */
export class AuditControl extends Context.Service<
  AuditControl,
  { readonly entries: Array<AuditEntry>; readonly broken: (broken: boolean) => void }
>()("ballast/test/AuditControl") {}

export const layer: Layer.Layer<Audit | AuditControl> = Layer.effectContext(
  Effect.sync(() => {
    const entries: Array<AuditEntry> = []
    let isBroken = false
    const refused = new StoreError({ store: "postgres", reason: { _tag: "Full", detail: "no space left on device" } })
    const audit = Audit.of({
      record: (entry) =>
        Effect.suspend(() => {
          if (isBroken) return Effect.fail(refused)
          entries.push({ ...entry, atMs: 0 })
          return Effect.void
        }),
      list: (limit) => Effect.sync(() => entries.toReversed().slice(0, limit))
    })
    const control = AuditControl.of({
      entries,
      broken: (broken) => {
        isBroken = broken
      }
    })
    return Context.make(Audit, audit).pipe(Context.add(AuditControl, control))
  })
)

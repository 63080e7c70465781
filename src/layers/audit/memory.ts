/**
 * Acts in this process's memory, for tests and for a process without a store.
 * They do not outlive it, so each of them is a log line too.
 */
import { Clock, Effect, Layer } from "effect"
import { Audit } from "../../services/audit.ts"
import type { AuditEntry } from "../../services/audit.ts"
import * as Entry from "./entry.ts"

/** Most acts kept; the oldest go first. Acts are done by people: it takes them years. */
const most = 10_000

export const layer: Layer.Layer<Audit> = Layer.effect(
  Audit,
  Effect.sync(() => {
    const acts: Array<AuditEntry> = []
    return Audit.of({
      record: (entry) =>
        Effect.gen(function* () {
          const kept = yield* Entry.keep(entry)
          const atMs = yield* Clock.currentTimeMillis
          // From and to text: what the caller changes later is not changed here.
          acts.push({ ...kept, before: JSON.parse(kept.before), after: JSON.parse(kept.after), atMs })
          if (acts.length > most) acts.shift()
          yield* Effect.annotateLogs(Effect.logInfo("audit"), { ...kept })
        }),
      list: (limit) => Effect.sync(() => acts.toReversed().slice(0, Entry.rows(limit)))
    })
  })
)

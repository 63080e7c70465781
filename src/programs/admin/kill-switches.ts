/** `/admin/kill-switches`: switch a feature, a tenant, a model, a provider or everything off, and on again. */
import { Effect, Schema } from "effect"
import type { Audit } from "../../services/audit.ts"
import type { Catalog } from "../../services/catalog.ts"
import type { KillSwitch } from "../../services/kill-switch.ts"
import * as Answer from "./answer.ts"
import type { Routes } from "./answer.ts"

const SwitchBody = Schema.Struct({
  kind: Schema.Literals(["all", "feature", "model", "provider", "tenant"]),
  target: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(256))),
  off: Schema.Boolean,
  note: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(256))),
  reason: Answer.Reason
})
type SwitchBody = typeof SwitchBody.Type

export const routes = (services: {
  readonly audit: Audit["Service"]
  readonly catalog: Catalog["Service"]
  readonly switches: KillSwitch["Service"]
}): Routes => {
  const { audit, catalog, switches } = services
  const names = {
    model: new Set(catalog.list.map(({ alias }) => alias)),
    provider: new Set(catalog.list.flatMap(({ candidates }) => candidates.map(({ provider }) => provider)))
  }

  /** What the switch is for. A name that nobody has would be a switch that does nothing, in an hour when that is dear. */
  const targetOf = ({ kind, off, target = "" }: SwitchBody) => {
    if (kind === "all") return Effect.succeed("")
    if (target === "") return new Answer.AdminError({ status: 400, detail: `kind '${kind}' needs a target.` })
    return off && (kind === "model" || kind === "provider") && !names[kind].has(target)
      ? new Answer.AdminError({
          status: 404,
          detail: `There is no ${kind} '${target}'. There are: ${[...names[kind]].join(", ")}.`
        })
      : Effect.succeed(target)
  }

  return [
    { method: "GET", path: "/admin/kill-switches", work: Effect.map(switches.list, (data) => ({ data })) },
    {
      method: "POST",
      path: "/admin/kill-switches",
      work: Effect.gen(function* () {
        const asked = yield* Answer.body(SwitchBody)
        const target = yield* targetOf(asked)
        const { kind, note, off, reason } = asked
        const before =
          (yield* switches.list).find((each) => each.kind === kind && (kind === "all" || each.target === target)) ??
          null
        const after = off ? { kind, target, note: note ?? null } : null
        const act = yield* Answer.act(reason)
        const subject = kind === "all" ? "all" : `${kind}:${target}`
        yield* audit.record({ ...act, action: off ? "kill-switch.off" : "kill-switch.on", subject, before, after })
        yield* off ? switches.off(kind, target, note) : switches.on(kind, target)
        return { data: yield* switches.list }
      })
    }
  ]
}

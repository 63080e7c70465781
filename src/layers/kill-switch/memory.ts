/**
 * Kill switches of this process, from the configuration and by hand.
 */
import { Effect, Layer } from "effect"
import { KillSwitchError } from "../../domain/errors.ts"
import { KillSwitch } from "../../services/kill-switch.ts"
import type { Switch, SwitchKind } from "../../services/kill-switch.ts"
import { CurrentRecord } from "../../services/request-record.ts"

const keyOf = (kind: SwitchKind, target: string) => (kind === "all" ? "all" : `${kind}:${target}`)

const refuse = ({ kind, note, target }: Switch) =>
  Effect.flatMap(CurrentRecord, (record) =>
    Effect.fail(
      new KillSwitchError({
        ...(record === undefined ? {} : { requestId: record.id }),
        reason: { _tag: "Off", kind, target, ...(note === undefined ? {} : { note }) }
      })
    )
  )

/** `initial` switches are off from the start. With no switch off a check is one comparison. */
export const make = (initial: ReadonlyArray<Switch> = []): Effect.Effect<KillSwitch["Service"]> =>
  Effect.sync(() => {
    const switches = new Map<string, Switch>(initial.map((each) => [keyOf(each.kind, each.target), each]))
    return KillSwitch.of({
      check: ({ feature, model, tenant }) => {
        if (switches.size === 0) return Effect.void
        const off =
          switches.get("all") ??
          switches.get(keyOf("tenant", tenant)) ??
          switches.get(keyOf("feature", feature)) ??
          switches.get(keyOf("model", model))
        return off === undefined ? Effect.void : refuse(off)
      },
      checkProvider: (provider) => {
        const off = switches.size === 0 ? undefined : switches.get(keyOf("provider", provider))
        return off === undefined ? Effect.void : refuse(off)
      },
      off: (kind, target, note) => Effect.sync(() => void switches.set(keyOf(kind, target), { kind, target, note })),
      on: (kind, target) => Effect.sync(() => void switches.delete(keyOf(kind, target))),
      list: Effect.sync(() => [...switches.values()])
    })
  })

/** {@link make} as a layer. */
export const layer = (initial: ReadonlyArray<Switch> = []): Layer.Layer<KillSwitch> =>
  Layer.effect(KillSwitch, make(initial))

/**
 * Kill switches of a fleet: a hash in Redis, a message for each change, and a
 * poll each {@link pollMs} that makes good what was missed. A check reads this
 * process's copy and asks nobody.
 *
 * The configuration's switches are off in this process until somebody turns
 * them on; what is done by hand holds for the fleet, and for processes that
 * start later. While Redis is away a change works in this process at once, and
 * is told once it is back.
 */
import { Effect, Fiber, Layer } from "effect"
import { KillSwitch } from "../../services/kill-switch.ts"
import type { Switch, SwitchKind } from "../../services/kill-switch.ts"
import { listen, RedisClient, script } from "../redis/client.ts"
import * as Memory from "./memory.ts"

/** Time (ms) between two polls: a change whose message was lost arrives so much later. */
export const pollMs = 500

/** A change, as it is kept: a switch that was turned on again too, since a process may have it off by its configuration. */
interface Change {
  readonly kind: SwitchKind
  readonly target: string
  readonly note?: string | undefined
  readonly off: boolean
}

// Written by this layer alone: keys of this deployment are nobody else's.
const parse = (text: string): Change => JSON.parse(text) as Change

/** Keep a change and tell it. ARGV: field, change, channel. */
const keep = script(`
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PUBLISH', ARGV[3], ARGV[2])
`)

const all = script(`return redis.call('HVALS', KEYS[1])`)

const fieldOf = ({ kind, target }: Change): string => (kind === "all" ? "all" : `${kind}:${target}`)

/** Switches over Redis; `initial` ones are off from the start. */
export const make = Effect.fnUntraced(function* (initial: ReadonlyArray<Switch> = []) {
  const client = yield* RedisClient
  const local = yield* Memory.make(initial)
  const run = Effect.runSyncWith(yield* Effect.context<never>())
  const hash = client.key("switches")
  const channel = client.key("switches:changes")
  /** Changes of this process that Redis does not know of, by field. */
  const pending = new Map<string, Change>()
  const seen = new Map<string, string>()

  const apply = ({ kind, note, off, target }: Change) => (off ? local.off(kind, target, note) : local.on(kind, target))
  const take = (text: string): Effect.Effect<void> =>
    Effect.suspend(() => {
      const change = parse(text)
      const field = fieldOf(change)
      // What is done here is newer than what is known there until Redis has it.
      if (pending.has(field) || seen.get(field) === text) return Effect.void
      seen.set(field, text)
      return apply(change)
    })
  const tell = (field: string, change: Change): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (!client.usable()) return Effect.void
      const text = JSON.stringify(change)
      return client.run(keep, [hash], [field, text, channel]).pipe(
        Effect.andThen(
          Effect.sync(() => {
            if (pending.get(field) !== change) return
            pending.delete(field)
            seen.set(field, text)
          })
        ),
        Effect.ignore
      )
    })
  const change = (one: Change): Effect.Effect<void> =>
    Effect.suspend(() => {
      pending.set(fieldOf(one), one)
      return Effect.andThen(apply(one), tell(fieldOf(one), one))
    })
  const poll = Effect.suspend(() => {
    if (!client.usable()) return Effect.void
    const learned = Effect.flatMap(client.run<ReadonlyArray<string>>(all, [hash], []), (texts) =>
      Effect.suspend(() => {
        const there = new Set(texts.map((text) => fieldOf(parse(text))))
        // Redis has lost what was done by hand.
        for (const [field, text] of seen) {
          if (!there.has(field) && !pending.has(field)) pending.set(field, parse(text))
        }
        return Effect.forEach(texts, take, { discard: true })
      })
    )
    const told = Effect.suspend(() =>
      Effect.forEach([...pending], ([field, one]) => tell(field, one), { discard: true })
    )
    return Effect.andThen(Effect.ignore(learned), told)
  })

  const heard = yield* Effect.forkScoped(listen(client, channel, (message) => void run(take(message))))
  if (client.usable()) yield* Effect.timeoutOption(Fiber.join(heard), client.timeoutMs)
  yield* poll
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(pollMs), poll)))

  return KillSwitch.of({
    check: local.check,
    checkProvider: local.checkProvider,
    off: (kind, target, note) => change({ kind, target, note, off: true }),
    on: (kind, target) => change({ kind, target, off: false }),
    list: local.list
  })
})

/** {@link make} as a layer. */
export const layer = (initial: ReadonlyArray<Switch> = []): Layer.Layer<KillSwitch, never, RedisClient> =>
  Layer.effect(KillSwitch, make(initial))

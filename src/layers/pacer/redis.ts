/**
 * Pacing for all processes together: limits are the fleet's, in Redis
 * (`fleet-supply.ts`), and a provider that asks one process for patience is
 * left alone by all of them.
 */
import { Effect, Layer, Option, Schema } from "effect"
import { Pacer } from "../../services/pacer.ts"
import { Timers } from "../../services/timers.ts"
import * as Redis from "../redis/client.ts"
import { RedisClient } from "../redis/client.ts"
import { FleetSupply } from "./fleet-supply.ts"
import * as Memory from "./memory.ts"
import type { PacerOptions } from "./memory.ts"

/** `safety`: while Redis is away, each process keeps to this share of its even part of the limits. */
export interface FleetPacerOptions extends PacerOptions {
  readonly safety: number
}

/** A provider's pause, as one process tells it to the others. */
const Pause = Schema.fromJsonString(Schema.Struct({ key: Schema.String, pauseMs: Schema.Finite }))
const decode = Schema.decodeUnknownOption(Pause)

/** The service over the fleet's Redis. */
export const make = Effect.fnUntraced(function* (options: FleetPacerOptions) {
  const timers = yield* Timers
  const client = yield* RedisClient
  const channel = client.key("pace")
  const supplies = new Map<string, FleetSupply>()
  const alone = options.safety / (options.processes ?? 1)
  yield* Redis.listen(client, channel, (message) => {
    const pause = Option.getOrUndefined(decode(message))
    if (pause !== undefined) supplies.get(pause.key)?.paused(timers.now(), pause.pauseMs)
  })
  return yield* Memory.makeOver(
    options,
    (key) => (rates, now, changed) => {
      const supply = new FleetSupply(rates, now, { client, timers, key, channel, alone, changed })
      supplies.set(key, supply)
      return supply
    },
    1
  )
})

/** {@link make} as a layer. */
export const layer = (options: FleetPacerOptions): Layer.Layer<Pacer, never, RedisClient | Timers> =>
  Layer.effect(Pacer, make(options))

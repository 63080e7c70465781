/**
 * How budgets are often kept: look at what is spent, call if the cap is not reached, and add what the call did cost
 * when it is over. Nothing is set aside, so every call in flight when the cap is reached goes beyond it.
 */
import { Effect } from "effect"
import type { RedisClient } from "../../../src/layers/redis/client.ts"
import type { BudgetReservation } from "../../../src/services/budget.ts"

const key = "spent"

/** Money spent, by its counter. */
export const spent = (client: RedisClient["Service"]): Effect.Effect<number> =>
  Effect.match(client.send<string | null>("GET", client.key(key)), {
    onFailure: () => 0,
    onSuccess: (text) => Number(text ?? 0)
  })

/** Check, and add in `settle`. */
export const reserve = (
  client: RedisClient["Service"],
  cap: number,
  estimate: number
): Effect.Effect<BudgetReservation, string> =>
  Effect.flatMap(
    Effect.mapError(client.send<string | null>("GET", client.key(key)), () => "Unavailable"),
    (text) => {
      if (Number(text ?? 0) + estimate > cap) return Effect.fail("Exhausted")
      return Effect.succeed({
        id: "",
        granted: () => estimate,
        grantedTokens: () => Infinity,
        advice: "full",
        warnings: [],
        extend: () => Effect.succeed(true),
        settle: ({ cost }) => Effect.runFork(Effect.ignore(client.send("INCRBY", client.key(key), String(cost)))),
        release: () => {}
      })
    }
  )

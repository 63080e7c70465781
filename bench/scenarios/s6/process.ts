/**
 * A process of S6: callers of one tenant who always want a call, each of a size of the trace. The call itself is a
 * sleep; what it costs is known beforehand, and to nobody but the journal. One without callers is the auditor.
 */
import { flushCompileCache } from "node:module"
import { Effect, Exit, Fiber, ManagedRuntime } from "effect"
import * as Caller from "../../../src/domain/caller.ts"
import { cost } from "../../../src/domain/catalog.ts"
import { RedisClient } from "../../../src/layers/redis/client.ts"
import { Outbox } from "../../../src/layers/ledger/outbox.ts"
import { Budget } from "../../../src/services/budget.ts"
import type { BudgetReservation, Spending } from "../../../src/services/budget.ts"
import { Ledger } from "../../../src/services/ledger.ts"
import { serveParent } from "../../child/ipc.ts"
import { sharedMs } from "../s9/clock.ts"
import { draw } from "../s9/draw.ts"
import * as Faults from "../stores/faults.ts"
import * as Journal from "../stores/journal.ts"
import * as Stores from "../stores/layers.ts"
import * as CheckThenAdd from "./check-then-add.ts"
import { model, price, tenant } from "./setup.ts"
import type { Event, Setup } from "./setup.ts"
import * as Sizes from "./sizes.ts"

// Written by the bench.
const setup = JSON.parse(process.argv[2] ?? "{}") as Setup
const journal = Journal.open<Event>(setup.journal)
const chance = draw(setup.seed, setup.name)
const sizes = Sizes.of(setup.sizes)
const counts: Faults.Counts = { calls: 0, timedOut: 0 }

const caller = Caller.make(tenant)
const costOf = (input: number, output: number): number =>
  cost(price, { prompt_tokens: input, completion_tokens: output })

const runtime = ManagedRuntime.make(
  Stores.layer({
    redisUrl: setup.redisUrl,
    prefix: setup.prefix,
    processes: setup.processes,
    timeoutMs: setup.timeoutMs,
    budgets: {
      tenants: { [tenant]: { month: { microUsd: setup.cap } } },
      reserve: setup.policy === "ballast-learned" ? "learned" : "max",
      reservationMs: setup.reservationMs
    },
    ...(setup.faults === 0 ? {} : { faults: Faults.layer(setup.faults, draw(setup.seed, "faults"), counts) }),
    ...(setup.postgresUrl === undefined ? {} : { postgresUrl: setup.postgresUrl, claimMs: setup.claimMs })
  })
)

let calls = 0
let stopping = false

/** Output tokens that were last set aside beyond what the request itself says; a guess at what a refused one wanted. */
let lastOutput = Sizes.maxOutput

/** The money of one call, as either policy sets it aside. */
interface Money {
  readonly reserve: (input: number, output: number) => Effect.Effect<BudgetReservation, string>
}

const ours: Effect.Effect<Money, never, Stores.Stores> = Effect.map(Budget, (budget) => ({
  reserve: (input, output) =>
    Effect.uninterruptible(
      Effect.mapError(
        budget.reserveUnsafe({ caller, model, price, inputTokens: input, outputTokens: output })(
          Effect.interruptible,
          undefined
        ),
        ({ reason }) => reason._tag
      )
    )
}))

const naive: Effect.Effect<Money, never, Stores.Stores> = Effect.map(RedisClient, (client) => ({
  reserve: (input, output) => CheckThenAdd.reserve(client, setup.cap, costOf(input, output))
}))

/** One call, from the question for money to its settlement. */
const call = Effect.fnUntraced(function* ({ reserve }: Money) {
  const n = ++calls
  const { input, output } = sizes.draw(chance)
  journal.write({ k: "ask", n, t: sharedMs(), e: costOf(input, lastOutput) })
  const asked = yield* Effect.exit(reserve(input, Sizes.maxOutput))
  const t = sharedMs()
  if (Exit.isFailure(asked)) {
    const [first] = asked.cause.reasons
    journal.write({
      k: "no",
      n,
      t,
      r: first !== undefined && first._tag === "Fail" ? first.error : String(asked.cause)
    })
    yield* Effect.sleep(setup.pauseMs * chance.between(0.5, 1.5))
    return
  }
  const reservation = asked.value
  const granted = reservation.granted()
  let spent = costOf(input, output)
  let written = output
  lastOutput = Math.max(0, Math.round(((granted - costOf(input, 0)) * 1_000_000) / price.output))
  journal.write({ k: "yes", n, t, e: granted, c: spent, id: reservation.id })
  const late = chance.unit() < setup.late
  const lastsMs = late ? setup.reservationMs * 1.3 : chance.between(...setup.callMs)
  if (spent > granted && setup.policy !== "check-then-add") {
    // The stream reaches what was set aside: more is asked for, a quarter of the most at a time; without it, it is cut.
    yield* Effect.sleep(lastsMs / 2)
    while (reservation.granted() < spent) {
      const tokens = Math.ceil(Sizes.maxOutput / 4)
      const more = yield* reservation.extend(costOf(0, tokens), tokens)
      if (!more) {
        written = Math.max(0, Math.floor(((reservation.granted() - costOf(input, 0)) * 1_000_000) / price.output))
        spent = costOf(input, written)
        journal.write({ k: "cut", n, t: sharedMs(), c: spent })
        break
      }
      journal.write({ k: "more", n, t: sharedMs(), e: reservation.granted() })
    }
    yield* Effect.sleep(lastsMs / 2)
  } else {
    yield* Effect.sleep(lastsMs)
  }
  const spending: Spending = { inputTokens: input, outputTokens: written, cost: spent, outcome: "ok" }
  journal.write({ k: "end", n, t: sharedMs(), c: spent })
  reservation.settle(spending)
  if (chance.unit() < setup.twice) reservation.settle({ ...spending, cost: spent * 2 })
  reservation.release()
})

const worker = (money: Money): Effect.Effect<void> => {
  const next: Effect.Effect<void> = Effect.suspend(() => (stopping ? Effect.void : Effect.andThen(call(money), next)))
  return Effect.andThen(Effect.sleep(chance.between(0, setup.callMs[1])), next)
}

let running: Fiber.Fiber<unknown, unknown> | undefined

serveParent({
  ready: async () => {
    await runtime.runPromise(Effect.void)
    // What this one has compiled, those that start after it need not.
    flushCompileCache()
  },
  go: () => {
    running = runtime.runFork(
      Effect.flatMap(setup.policy === "check-then-add" ? naive : ours, (money) =>
        Effect.all(
          Array.from({ length: setup.callers }, () => worker(money)),
          { concurrency: "unbounded" }
        )
      )
    )
  },
  /** No new calls; resolves when those that run are settled. What was asked of Redis, and how much of it timed out. */
  stop: async (): Promise<Faults.Counts> => {
    stopping = true
    if (running !== undefined) await runtime.runPromise(Fiber.await(running))
    return counts
  },
  /** Money spent and reserved under the cap, by the counters (micro-dollars); undefined where they cannot be asked. */
  status: () =>
    runtime.runPromise(
      Effect.gen(function* () {
        const budget = yield* Budget
        if (setup.policy === "check-then-add") {
          return { spent: yield* CheckThenAdd.spent(yield* RedisClient), reserved: 0 }
        }
        const { caps } = yield* budget.status(caller.tenant)
        const cap = caps.find(({ unit }) => unit === "micro-usd")
        return cap === undefined ? undefined : { spent: cap.spent, reserved: cap.reserved }
      }).pipe(Effect.orElseSucceed(() => undefined))
    ),
  /** The same by the books. */
  books: () =>
    runtime.runPromise(
      Effect.gen(function* () {
        const ledger = yield* Ledger
        yield* (yield* Outbox).drained
        yield* ledger.flush
        return yield* ledger.sum({ tenant: caller.tenant, fromMs: 0, toMs: 8_640_000_000_000_000 })
      })
    ),
  /** Close everything, and end; the exit code says whether that went well. */
  end: async () => {
    const code = await runtime.dispose().then(
      () => 0,
      (error: unknown) => {
        process.stderr.write(`${String(error)}\n`)
        return 1
      }
    )
    setTimeout(() => process.exit(code), 20)
  }
})

import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Scope } from "effect"
import type { LedgerEntry } from "../../../../src/domain/ledger.ts"
import * as Caller from "../../../../src/domain/caller.ts"
import * as Lua from "../../../../src/layers/admission/lua.ts"
import { ask, spent, suite } from "../../../conformance/budget.ts"
import * as Books from "../../../support/books.ts"
import { available, breakable, redis, startCluster, startRedis } from "../../../support/redis.ts"
import * as Stores from "../../../support/stores.ts"

const acme = Caller.make("acme")

/** What waits in the ledger's stream. */
const stream = ({ client }: Stores.Process): Effect.Effect<ReadonlyArray<LedgerEntry>> =>
  Effect.map(
    Effect.orDie(client.send<ReadonlyArray<[string, ReadonlyArray<string>]>>("XRANGE", client.key("ledger"), "-", "+")),
    (entries) =>
      entries.map(([, fields]) => {
        const of = (name: string) => fields[fields.indexOf(name) + 1] ?? ""
        return {
          ...(JSON.parse(of("meta")) as LedgerEntry),
          id: of("id"),
          kind: of("kind") as LedgerEntry["kind"],
          atMs: Number(of("at")),
          inputTokens: Number(of("in")),
          outputTokens: Number(of("out")),
          microUsd: Number(of("usd"))
        }
      })
  )

const open = (options: Stores.ProcessOptions) =>
  Effect.map(Stores.process(options), (process) => ({ budget: process.budget, booked: stream(process) }))

suite("Redis", (budgets) => Effect.flatMap(redis, (server) => open({ ...server, budgets })), !available)

suite(
  "Redis Cluster",
  (budgets) => Effect.flatMap(startCluster, ({ url }) => open({ url, prefix: "c", cluster: true, budgets })),
  !breakable
)

const day = (microUsd: number) => ({ tenant: { day: { microUsd } } })

const used = ({ budget }: Stores.Process) =>
  Effect.map(Effect.orDie(budget.status(acme.tenant)), ({ caps }) => ({
    spent: caps[0]?.spent,
    reserved: caps[0]?.reserved
  }))

const until = (check: Effect.Effect<boolean>): Effect.Effect<void> =>
  Effect.suspend(() => Effect.flatMap(check, (ok) => (ok ? Effect.void : Effect.delay(until(check), 10))))

describe.skipIf(!breakable)("budgets over Redis", () => {
  it.live("a reservation whose holder is gone is booked as estimated, and corrected should the holder come back", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const server = yield* redis
        const options = { ...server, budgets: { ...day(1_000), reservationMs: 300 } }
        const one = yield* Stores.process(options)
        const two = yield* Stores.process(options)
        const reservation = yield* one.budget.reserve(ask(100, 50, acme))
        yield* until(Effect.map(used(two), (now) => now.spent === 150 && now.reserved === 0))
        reservation.settle(spent(20))
        yield* until(Effect.map(used(two), (now) => now.spent === 20 && now.reserved === 0))
        const entries = yield* stream(two)
        assert.deepStrictEqual(
          entries.map(({ kind, microUsd }) => [kind, microUsd]),
          [
            ["expired", 150],
            ["corrected", -130]
          ]
        )
      })
    )
  )

  it.live("an admission that arrives after its reservation is over charges nothing and is never booked", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const server = yield* redis
        const { admission, budget, client, ...rest } = yield* Stores.process({ ...server, budgets: day(1_000) })
        const one = { admission, budget, client, ...rest }
        const late = (id: string) =>
          client.run(
            Lua.admit,
            [client.key("fence")],
            [client.key(""), "B", id, 100, 100, 0, 60_000_000, "{}", 1, "t:acme:day", "day", 1_000, -1]
          )
        const settled = yield* budget.reserve(ask(100, 0, acme))
        settled.settle(spent(30))
        const released = yield* budget.reserve(ask(100, 0, acme))
        released.release()
        admission.settlements.push(["X", "never-here"])
        yield* admission.settlements.flush
        for (const id of [settled.id, released.id, "never-here"]) yield* late(id)
        assert.deepStrictEqual(yield* used(one), { spent: 30, reserved: 0 })
        assert.strictEqual(yield* client.send("ZCARD", client.key("resx")), 0)
        assert.strictEqual((yield* stream(one)).length, 1)
      })
    )
  )

  it.live("what the books say of a window that Redis does not know counts before anything is spent in it", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const server = yield* redis
        const books = Books.make()
        const atMs = yield* Clock.currentTimeMillis
        const entry = {
          kind: "settled",
          atMs,
          tenant: acme.tenant,
          user: null,
          feature: "default",
          model: "m"
        } as const
        yield* books.ledger.write([
          {
            ...entry,
            id: "earlier",
            provider: null,
            promptVersion: null,
            inputTokens: 90,
            outputTokens: 0,
            microUsd: 90,
            outcome: "ok"
          }
        ])
        const one = yield* Stores.process({ ...server, budgets: day(100), ledger: books.layer })
        assert.isTrue(Exit.isFailure(yield* Effect.exit(Effect.scoped(one.budget.reserve(ask(11, 0, acme))))))
        yield* Effect.scoped(one.budget.reserve(ask(10, 0, acme)))
        // Redis forgets everything: the books still know.
        yield* Effect.flatMap(one.client.send<ReadonlyArray<string>>("KEYS", one.client.key("b:*")), (keys) =>
          one.client.send("DEL", ...keys)
        )
        assert.isTrue(Exit.isFailure(yield* Effect.exit(Effect.scoped(one.budget.reserve(ask(11, 0, acme))))))
      })
    )
  )

  it.live("recomputing sets the counters from the books, and nothing that is reserved is lost", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const server = yield* redis
        const one = yield* Stores.process({ ...server, budgets: day(1_000) })
        yield* one.budget.reserve(ask(100, 0, acme))
        const [key = ""] = yield* one.client.send<ReadonlyArray<string>>("KEYS", one.client.key("b:*"))
        yield* one.client.send("HINCRBY", key, "s", "77")
        assert.deepStrictEqual(yield* used(one), { spent: 77, reserved: 100 })
        yield* one.budget.recompute(acme.tenant)
        assert.deepStrictEqual(yield* used(one), { spent: 0, reserved: 100 })
      })
    )
  )

  it.live("while Redis is away a cap refuses, within its time; callers without one go on; it heals by itself", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const server = yield* startRedis
        const budgets = { tenants: { acme: { day: { microUsd: 1_000 } } } }
        const one = yield* Stores.process({ url: server.url, prefix: "t", timeoutMs: 30, budgets })
        const before = yield* Effect.retry(one.budget.reserve(ask(10, 0, acme)), { times: 100 })
        yield* server.pause
        for (let i = 0; i < 10; i++) {
          const began = performance.now()
          const error = yield* Effect.flip(Effect.scoped(one.budget.reserve(ask(10, 0, acme))))
          assert.strictEqual(error.reason._tag, "Unavailable")
          assert.isBelow(performance.now() - began, 100)
        }
        yield* one.budget.reserve(ask(10, 0, Caller.make("free")))
        before.settle(spent(5))
        yield* server.resume
        // What was settled meanwhile is settled, and nothing of what was refused stays reserved.
        yield* until(
          Effect.map(
            Effect.orElseSucceed(used(one), () => ({ spent: -1, reserved: -1 })),
            (now) => now.spent === 5 && now.reserved === 0
          )
        )
      })
    )
  )

  it.live("a process that ends in order leaves nothing reserved", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const server = yield* redis
        const ends = yield* Scope.make()
        const one = yield* Scope.provide(Stores.process({ ...server, budgets: day(1_000) }), ends)
        const reservation = yield* Scope.provide(one.budget.reserve(ask(100, 0, acme)), ends)
        reservation.settle(spent(42))
        yield* Scope.close(ends, Exit.void)
        const two = yield* Stores.process({ ...server, budgets: day(1_000) })
        assert.deepStrictEqual(yield* used(two), { spent: 42, reserved: 0 })
      })
    )
  )
})

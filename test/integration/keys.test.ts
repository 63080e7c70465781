/** Keys across processes: what one process does, the others keep; with a database that may be broken. */
import { execFile } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Layer, Redacted, Schedule } from "effect"
import type { Scope } from "effect"
import { TenantId } from "../../src/domain/caller.ts"
import type { AuthError } from "../../src/domain/errors.ts"
import { migrate } from "../../src/layers/postgres/migrate.ts"
import { BudgetCaps } from "../../src/services/budget-caps.ts"
import { Keys } from "../../src/services/keys.ts"
import { Tenants } from "../../src/services/tenants.ts"
import * as Tables from "../support/fleet-tables.ts"
import * as TestPostgres from "../support/postgres.ts"
import { boot } from "../support/server.ts"
import * as Sql from "../support/sql.ts"

const act = { actor: "cli:ann", reason: "ticket 12" }
const acme = TenantId.make("acme")

/** The services of one process: a client, a cache and a listener of its own. */
const processOn = (url: string) => Layer.build(Tables.over("server").pipe(Layer.provideMerge(Sql.at(url))))

const migrated = (url: string) => Effect.provide(migrate(), Sql.at(url))

/** How long it takes until `self` fails with `tag`, in ms; 10 s at most. */
const until = <A>(self: Effect.Effect<A, AuthError>, tag: string) =>
  Effect.gen(function* () {
    const from = yield* Clock.currentTimeMillis
    yield* Effect.repeat(
      Effect.flip(self).pipe(
        Effect.map(({ reason }) => reason._tag),
        Effect.orElseSucceed(() => "")
      ),
      {
        until: (found) => found === tag,
        schedule: Schedule.spaced(5)
      }
    ).pipe(Effect.timeout(10_000))
    return (yield* Clock.currentTimeMillis) - from
  })

const live = <E>(title: string, test: Effect.Effect<void, E, Scope.Scope>) =>
  it.live(title, () => Effect.scoped(test), 240_000)

describe.skipIf(!TestPostgres.available)("keys of a fleet", () => {
  live(
    "revoked, replanned and capped by one process, seen by the other within a second; a new key at once",
    Effect.gen(function* () {
      const { url } = yield* TestPostgres.database
      yield* migrated(url)
      const [one, other] = [yield* processOn(url), yield* processOn(url)]
      const [keys, caps] = [yield* Effect.provideContext(Keys, one), yield* Effect.provideContext(BudgetCaps, one)]
      const tenants = yield* Effect.provideContext(Tenants, other)
      const otherCaps = yield* Effect.provideContext(BudgetCaps, other)

      const { info, key } = yield* keys.create({ ...act, tenant: acme, scopes: ["chat"] })
      const identify = Effect.suspend(() => tenants.identify(Redacted.value(key)))
      assert.strictEqual((yield* identify).plan, "standard")
      assert.isTrue(Exit.isExit(tenants.identify(Redacted.value(key))))
      const before = yield* otherCaps.load(acme)

      yield* keys.create({ ...act, tenant: acme, plan: "premium", scopes: ["chat"] })
      yield* caps.set(acme, { day: { microUsd: 5 } }, act)
      yield* Effect.repeat(identify, { until: ({ plan }) => plan === "premium", schedule: Schedule.spaced(5) }).pipe(
        Effect.timeout(1_000)
      )
      assert.notDeepEqual(before, { day: { microUsd: 5 } })
      yield* Effect.repeat(
        Effect.suspend(() => otherCaps.load(acme)),
        {
          until: ({ day }) => day?.microUsd === 5,
          schedule: Schedule.spaced(5)
        }
      ).pipe(Effect.timeout(1_000))

      yield* keys.revoke(info.id, act)
      const ms = yield* until(identify, "RevokedKey")
      assert.isBelow(ms, 1_000)
    })
  )

  live(
    "with Postgres away known keys go on, to their own end and no further; others are Unavailable; then it heals",
    Effect.gen(function* () {
      const postgres = yield* TestPostgres.startPostgres
      yield* migrated(postgres.url)
      const context = yield* processOn(postgres.url)
      const keys = yield* Effect.provideContext(Keys, context)
      const tenants = yield* Effect.provideContext(Tenants, context)
      const make = (lifeMs?: number) =>
        Effect.map(keys.create({ ...act, tenant: acme, scopes: ["chat"], lifeMs }), ({ key }) => Redacted.value(key))
      const [known, unasked, short] = [yield* make(), yield* make(), yield* make(3_000)]
      yield* tenants.identify(known)
      yield* tenants.identify(short)

      yield* postgres.kill
      assert.strictEqual((yield* tenants.identify(known)).id, "acme")
      const from = yield* Clock.currentTimeMillis
      const { reason } = yield* Effect.flip(tenants.identify(unasked))
      assert.strictEqual(reason._tag, "Unavailable")
      assert.isBelow((yield* Clock.currentTimeMillis) - from, 1_500)
      assert.strictEqual(
        (yield* Effect.flip(keys.create({ ...act, tenant: acme, scopes: ["chat"] })))._tag,
        "StoreError"
      )
      yield* until(
        Effect.suspend(() => tenants.identify(short)),
        "ExpiredKey"
      )
      assert.strictEqual((yield* tenants.identify(known)).id, "acme")

      yield* postgres.restart
      yield* Effect.retry(
        Effect.suspend(() => tenants.identify(unasked)),
        Schedule.spaced(50)
      ).pipe(Effect.timeout(20_000))
    })
  )
})

describe.skipIf(!TestPostgres.available)("the gateway with keys in Postgres", () => {
  live(
    "a key of the command line works at once, for its scopes alone, whatever headers claim; revoked, it is refused",
    Effect.gen(function* () {
      const { url } = yield* TestPostgres.database
      const folder = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "ballast-keys-"))),
        (path) => Effect.sync(() => rmSync(path, { recursive: true }))
      )
      const stores = { postgres: { url: { env: "DATABASE_URL" } } }
      const config = join(folder, "config.json")
      writeFileSync(config, JSON.stringify({ stores, auth: { mode: "store" } }))
      const env = { DATABASE_URL: url, ADMIN: "admin-token", USER: "ann" }
      const ballast = (...args: ReadonlyArray<string>) =>
        Effect.promise(
          () =>
            new Promise<{ code: number; stdout: string; stderr: string }>((done) => {
              execFile(
                process.execPath,
                [resolve("src/programs/cli.ts"), ...args, "--config", config],
                { env },
                (error, stdout, stderr) => done({ code: error === null ? 0 : Number(error.code), stdout, stderr })
              )
            })
        )
      const booted = yield* boot({
        config: { stores, auth: { mode: "store" }, admin: { token: { env: "ADMIN" } } },
        env
      })
      const chat = (key: string, headers: Record<string, string> = {}, path = "/v1/chat/completions") =>
        Effect.promise(async () => {
          const response = await fetch(booted.url + path, {
            method: path === "/v1/models" ? "GET" : "POST",
            headers: { authorization: `Bearer ${key}`, "content-type": "application/json", ...headers },
            ...(path === "/v1/models"
              ? {}
              : { body: JSON.stringify({ model: "chat", input: "x", messages: [{ role: "user", content: "hi" }] }) })
          })
          return { status: response.status, text: await response.text() }
        })

      const made = yield* ballast("keys", "create", "--tenant", "acme", "--scope", "chat", "--reason", "x", "--json")
      assert.strictEqual(made.code, 0, made.stderr)
      const { id, key } = JSON.parse(made.stdout)
      const forged = { "x-ballast-tenant": "gold", "x-ballast-plan": "premium", "x-tenant-id": "gold" }
      assert.strictEqual((yield* chat(key, forged)).status, 200)
      for (const path of ["/v1/embeddings", "/v1/models"]) {
        const refused = yield* chat(key, forged, path)
        assert.strictEqual(refused.status, 403, path)
        assert.include(refused.text, "insufficient_permissions")
      }
      assert.strictEqual((yield* chat(`${key.slice(0, -1)}x`)).status, 401)

      const listed = yield* ballast("keys", "list")
      assert.include(listed.stdout, id)
      assert.notInclude(listed.stdout, key)
      const revoked = yield* ballast("keys", "revoke", id, "--reason", "leaked")
      assert.strictEqual(revoked.code, 0, revoked.stderr)
      yield* Effect.repeat(chat(key), { until: ({ status }) => status === 401, schedule: Schedule.spaced(20) }).pipe(
        Effect.timeout(1_000)
      )
      const audit = yield* Effect.promise(async () => {
        const response = await fetch(`${booted.admin}/admin/audit`, {
          headers: { authorization: "Bearer admin-token" }
        })
        return response.text()
      })
      const actions = JSON.parse(audit).data.map((row: { action: string; actor: string }) => [row.action, row.actor])
      assert.deepStrictEqual(actions, [
        ["key.revoke", "cli:ann"],
        ["key.create", "cli:ann"]
      ])

      const wrong = [
        ["keys", "create", "--tenant", "acme"],
        ["keys", "create", "--tenant", "acme", "--reason", " "],
        ["keys", "create", "--tenant", "acme", "--scope", "admin", "--reason", "x"],
        ["keys", "create", "--tenant", "acme", "--expires", "soon", "--reason", "x"],
        ["budget", "set", "acme", "--day-usd", "-1", "--reason", "x"],
        ["budget", "set", "acme", "--day-usd", "1e99", "--reason", "x"]
      ]
      const codes = yield* Effect.forEach(wrong, (args) => ballast(...args), { concurrency: 3 })
      assert.deepStrictEqual(
        codes.map(({ code }) => code),
        wrong.map(() => 2)
      )
      const none = yield* ballast("budget", "set", "acme", "--reason", "x")
      assert.strictEqual(none.code, 1)
      assert.include(none.stderr, "--day-usd")
      const set = yield* ballast("budget", "set", "acme", "--day-usd", "12.50", "--reason", "x", "--json")
      assert.deepStrictEqual(JSON.parse(set.stdout), {
        tenant: "acme",
        caps: { day: { microUsd: 12_500_000 } },
        own: true
      })
      const shown = yield* ballast("budget", "show", "acme", "--json")
      assert.deepStrictEqual(JSON.parse(shown.stdout).caps, { day: { microUsd: 12_500_000 } })
    })
  )
})

/** The admin API without a socket, over the memory layers. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Redacted } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import * as ApiKey from "../../../../src/domain/api-key.ts"
import * as BudgetPolicy from "../../../../src/domain/budget.ts"
import type { Model } from "../../../../src/domain/catalog.ts"
import { BudgetError } from "../../../../src/domain/errors.ts"
import * as Policy from "../../../../src/domain/policy.ts"
import * as CapsConfig from "../../../../src/layers/budget-caps/config.ts"
import * as CatalogConfig from "../../../../src/layers/catalog/config.ts"
import * as CircuitBreakerMemory from "../../../../src/layers/circuit-breaker/memory.ts"
import * as KeysMemory from "../../../../src/layers/keys/memory.ts"
import * as KillSwitchMemory from "../../../../src/layers/kill-switch/memory.ts"
import * as TimersWheel from "../../../../src/layers/timers/wheel.ts"
import * as Admin from "../../../../src/programs/admin/routes.ts"
import { Audit } from "../../../../src/services/audit.ts"
import * as Budget from "../../../../src/services/budget.ts"
import { Tenants } from "../../../../src/services/tenants.ts"
import * as TestAudit from "../../../support/audit.ts"

const model: Model = {
  alias: "chat",
  kind: "chat",
  candidates: [
    { provider: "up", model: "vendor/x" },
    { provider: "down", model: "y" }
  ],
  price: { input: 1, output: 2 },
  contextTokens: 100,
  maxOutputTokens: 10
}

const recomputed: Array<string> = []

/** A budget whose counters say 7 until they are counted anew, and 5 from then on. */
const budget = Layer.sync(Budget.Budget, () => {
  const cap = {
    name: "acme",
    scope: "tenant",
    window: "day",
    unit: "micro-usd",
    limit: 10,
    used: 7,
    reserved: 0
  } as const
  const unavailable = new BudgetError({ reason: { _tag: "Unavailable", retryAfterMs: 1 } })
  recomputed.length = 0
  return Budget.make({
    reserveUnsafe: () => () => Exit.fail(unavailable),
    downgrade: () => undefined,
    status: () => Effect.succeed({ caps: [{ ...cap, spent: 7 }] }),
    recompute: (tenant) =>
      Effect.sync(() => {
        recomputed.push(tenant)
        return { caps: [{ ...cap, used: 5, spent: 5 }] }
      })
  })
})

const services = Layer.mergeAll(
  KeysMemory.layer,
  CapsConfig.layer({ tenant: { day: { tokens: 9 } }, tenants: {} }),
  CatalogConfig.layer([model]),
  CircuitBreakerMemory.layer(Policy.defaults.breaker, { pools: [["up/vendor/x", "down/y"]] }),
  KillSwitchMemory.layer(),
  budget
).pipe(Layer.provideMerge(Layer.merge(TestAudit.layer, TimersWheel.layer)))

interface Asked {
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  readonly token?: string | undefined
}

const token = "admin-token"
const good = { token }

const ask = Effect.fnUntraced(function* (
  method: string,
  path: string,
  asked: Asked = good,
  configured: string | undefined = token
) {
  const routes = Admin.routes(configured === undefined ? undefined : Redacted.make(configured))
  const app = yield* HttpRouter.toHttpEffect(routes)
  const headers = new Headers(asked.headers)
  if (asked.token !== undefined) headers.set("authorization", `Bearer ${asked.token}`)
  const body =
    asked.body === undefined ? {} : { body: typeof asked.body === "string" ? asked.body : JSON.stringify(asked.body) }
  const request = HttpServerRequest.fromWeb(new Request(`http://admin${path}`, { method, headers, ...body }))
  const response = yield* Effect.provideService(app, HttpServerRequest.HttpServerRequest, request)
  const web = HttpServerResponse.toWeb(response)
  const text = yield* Effect.promise(() => web.text())
  return { status: web.status, headers: web.headers, body: text === "" ? undefined : JSON.parse(text) }
}, Effect.scoped)

const post = (path: string, body: unknown, headers: Readonly<Record<string, string>> = {}) =>
  ask("POST", path, { ...good, body, headers })

type Provided = Layer.Success<typeof services>
const effect = <E>(title: string, test: Effect.Effect<void, E, Provided>) =>
  it.effect(title, () => Effect.provide(test, services))

const reason = "ticket 12"
const newKey = { tenant: "acme", scopes: ["chat"], reason }

/** Every route that there is, with a body that it takes. */
const everything: ReadonlyArray<readonly [method: string, path: string, body?: unknown]> = [
  ["GET", "/admin/keys"],
  ["POST", "/admin/keys", newKey],
  ["DELETE", "/admin/keys/0123456789ab?reason=x"],
  ["POST", "/admin/keys/0123456789ab/rotate", { overlapMs: 0, reason }],
  ["GET", "/admin/budgets"],
  ["GET", "/admin/budgets/acme"],
  ["PUT", "/admin/budgets/acme", { caps: {}, reason }],
  ["POST", "/admin/budgets/acme/recompute", { reason }],
  ["GET", "/admin/breakers"],
  ["POST", "/admin/breakers/down%2Fy/trip", { forMs: 1_000, reason }],
  ["POST", "/admin/breakers/down%2Fy/reset", { reason }],
  ["GET", "/admin/kill-switches"],
  ["POST", "/admin/kill-switches", { kind: "tenant", target: "acme", off: true, reason }],
  ["GET", "/admin/audit"]
]

describe("the token", () => {
  for (const [method, path, body] of everything) {
    effect(
      `${method} ${path} needs it`,
      Effect.gen(function* () {
        const audit = yield* Audit
        for (const wrong of [
          undefined,
          "",
          "admin-toke",
          "admin-token ".repeat(2),
          "ADMIN-TOKEN",
          "x".repeat(10_000)
        ]) {
          const answer = yield* ask(method, path, { token: wrong, body })
          assert.strictEqual(answer.status, 401, wrong?.slice(0, 20))
          assert.strictEqual(answer.headers.get("www-authenticate"), 'Bearer realm="ballast-admin"')
          assert.strictEqual(answer.body.error.code, "invalid_admin_token")
        }
        for (const name of ["api-key", "x-api-key"]) {
          assert.strictEqual((yield* ask(method, path, { headers: { [name]: token }, body })).status, 401)
        }
        assert.deepStrictEqual(yield* audit.list(10), [])
        assert.notStrictEqual((yield* ask(method, path, { ...good, body })).status, 401)
      })
    )
  }

  effect(
    "a tenant's key is none; and where none is configured there is no admin API",
    Effect.gen(function* () {
      const { body } = yield* post("/admin/keys", newKey)
      assert.strictEqual((yield* ask("GET", "/admin/keys", { token: body.key })).status, 401)
      for (const [method, path] of everything) {
        for (const [sent, configured] of [
          [token, ""],
          ["", ""],
          [undefined, ""]
        ]) {
          const exit = yield* Effect.exit(ask(method, path, { token: sent }, configured))
          assert.isTrue(Exit.isFailure(exit) || exit.value.status === 404, path)
        }
      }
    })
  )
})

describe("keys", () => {
  effect(
    "are made, listed, rotated and revoked, each act with its row",
    Effect.gen(function* () {
      const tenants = yield* Tenants
      const made = yield* post("/admin/keys", { ...newKey, plan: "premium", residency: "eu", expiresInMs: 60_000 })
      assert.strictEqual(made.status, 201)
      assert.strictEqual(made.headers.get("cache-control"), "no-store")
      const { key, ...info } = made.body
      assert.isTrue(ApiKey.isWellFormed(key))
      assert.strictEqual((yield* tenants.identify(key)).plan, "premium")
      const listed = yield* ask("GET", "/admin/keys?tenant=acme")
      assert.deepStrictEqual(listed.body, { data: [info] })
      assert.notInclude(JSON.stringify(listed.body), key)
      assert.deepStrictEqual((yield* ask("GET", "/admin/keys?tenant=other")).body, { data: [] })

      const rotated = yield* post(`/admin/keys/${info.id}/rotate`, { overlapMs: 0, reason: "old" })
      assert.strictEqual(rotated.status, 201)
      assert.strictEqual((yield* Effect.flip(tenants.identify(key))).reason._tag, "ExpiredKey")
      const revoked = yield* ask("DELETE", `/admin/keys/${rotated.body.id}?reason=leaked`, {
        ...good,
        headers: { "x-ballast-actor": "ann@example.com" }
      })
      assert.strictEqual(revoked.status, 200)
      assert.strictEqual((yield* Effect.flip(tenants.identify(rotated.body.key))).reason._tag, "RevokedKey")

      const { body } = yield* ask("GET", "/admin/audit")
      assert.deepStrictEqual(
        body.data.map((row: { action: string; actor: string; reason: string }) => [row.action, row.actor, row.reason]),
        [
          ["key.revoke", "ann@example.com", "leaked"],
          ["key.rotate", "admin-api", "old"],
          ["key.create", "admin-api", reason]
        ]
      )
      assert.strictEqual((yield* ask("GET", "/admin/audit?limit=1")).body.data.length, 1)
      for (const limit of ["0", "-1", "1001", "x", "1.5", "1e99"]) {
        assert.strictEqual((yield* ask("GET", `/admin/audit?limit=${limit}`)).status, 400, limit)
      }
    })
  )

  effect(
    "are refused where the request makes no sense",
    Effect.gen(function* () {
      const audit = yield* Audit
      const { reason: _, ...without } = newKey
      for (const body of [
        "",
        "{",
        "[]",
        "null",
        without,
        { ...newKey, reason: "" },
        { ...newKey, reason: "  " },
        { ...newKey, tenant: "" },
        { ...newKey, scopes: [] },
        { ...newKey, scopes: ["admin"] },
        { ...newKey, plan: "gold" },
        { ...newKey, expiresInMs: 0 },
        { ...newKey, expiresInMs: -1 },
        { ...newKey, expiresInMs: 1e30 },
        { ...newKey, expires: 1 }
      ]) {
        const answer = yield* post("/admin/keys", body)
        assert.strictEqual(answer.status, 400, JSON.stringify(body))
        assert.isString(answer.body.error.message)
      }
      assert.strictEqual((yield* ask("DELETE", "/admin/keys/0123456789ab")).status, 400)
      assert.strictEqual((yield* ask("DELETE", "/admin/keys/0123456789ab?reason=x")).status, 404)
      assert.strictEqual((yield* post("/admin/keys/nobody/rotate", { overlapMs: 0, reason })).status, 404)
      assert.strictEqual((yield* post("/admin/keys/nobody/rotate", { overlapMs: -1, reason })).status, 400)
      assert.deepStrictEqual(yield* audit.list(10), [])
      const { body } = yield* post("/admin/keys", newKey)
      yield* ask("DELETE", `/admin/keys/${body.id}?reason=x`)
      assert.strictEqual((yield* post(`/admin/keys/${body.id}/rotate`, { overlapMs: 0, reason })).status, 409)
    })
  )
})

describe("budgets", () => {
  effect(
    "are shown, set, taken back and counted anew, each act with its row",
    Effect.gen(function* () {
      const configured = { day: { tokens: 9 } }
      const before = yield* ask("GET", "/admin/budgets/acme")
      assert.deepStrictEqual([before.body.caps, before.body.own], [configured, false])
      assert.strictEqual(before.body.status[0].spent, 7)
      const caps = { day: { microUsd: 100_000_000 }, month: { tokens: 0 } }
      assert.deepStrictEqual((yield* ask("PUT", "/admin/budgets/acme", { ...good, body: { caps, reason } })).body, {
        tenant: "acme",
        caps,
        own: true
      })
      assert.deepStrictEqual((yield* ask("GET", "/admin/budgets")).body.data, [{ tenant: "acme", caps, own: true }])
      const taken = yield* ask("PUT", "/admin/budgets/acme", { ...good, body: { caps: null, reason } })
      assert.deepStrictEqual(taken.body, { tenant: "acme", caps: configured, own: false })
      const counted = yield* post("/admin/budgets/acme/recompute", { reason: "after the incident" })
      assert.strictEqual(counted.body.caps[0].spent, 5)
      assert.deepStrictEqual(recomputed, ["acme"])
      const { body } = yield* ask("GET", "/admin/audit")
      const rows = body.data.map((row: { action: string; subject: string; before: unknown; after: unknown }) => row)
      assert.deepStrictEqual(
        rows.map((row: { action: string; subject: string }) => [row.action, row.subject]),
        [
          ["budget.recompute", "acme"],
          ["budget.set", "acme"],
          ["budget.set", "acme"]
        ]
      )
      assert.deepStrictEqual([rows[2].before, rows[2].after], [null, caps])
      assert.deepStrictEqual([rows[1].before, rows[1].after], [caps, null])
    })
  )

  for (const amount of [-1, 1.5, 2 ** 53, 1e300, "100", null, Number.NaN]) {
    effect(
      `an amount of ${String(amount)} is refused`,
      Effect.gen(function* () {
        const audit = yield* Audit
        for (const caps of [{ day: { microUsd: amount } }, { month: { tokens: amount } }]) {
          const answer = yield* ask("PUT", "/admin/budgets/acme", { ...good, body: { caps, reason } })
          assert.strictEqual(answer.status, 400)
        }
        assert.deepStrictEqual(yield* audit.list(10), [])
        assert.isFalse((yield* ask("GET", "/admin/budgets/acme")).body.own)
      })
    )
  }

  effect(
    "fields that mean nothing, and acts without a reason, are refused",
    Effect.gen(function* () {
      for (const body of [
        { caps: { week: { tokens: 1 } }, reason },
        { caps: { day: { usd: 1 } }, reason },
        { caps: {} },
        { reason },
        { caps: BudgetPolicy.defaults.tenant, reason: "" }
      ]) {
        assert.strictEqual((yield* ask("PUT", "/admin/budgets/acme", { ...good, body })).status, 400)
      }
      assert.strictEqual((yield* post("/admin/budgets/acme/recompute", {})).status, 400)
      assert.deepStrictEqual(recomputed, [])
    })
  )
})

describe("breakers", () => {
  effect(
    "are listed, tripped and reset, each act with its row",
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* ask("GET", "/admin/breakers")).body.data, [
        { key: "down/y", state: "closed" },
        { key: "up/vendor/x", state: "closed" }
      ])
      const tripped = yield* post("/admin/breakers/up%2Fvendor%2Fx/trip", { forMs: 60_000, reason })
      assert.deepStrictEqual(tripped.body, { key: "up/vendor/x", state: "open" })
      const reset = yield* post("/admin/breakers/up%2Fvendor%2Fx/reset", { reason })
      assert.deepStrictEqual(reset.body, { key: "up/vendor/x", state: "closed" })
      const { body } = yield* ask("GET", "/admin/audit")
      assert.deepStrictEqual(
        body.data.map((row: { action: string; subject: string; before: unknown }) => [
          row.action,
          row.subject,
          row.before
        ]),
        [
          ["breaker.reset", "up/vendor/x", "open"],
          ["breaker.trip", "up/vendor/x", "closed"]
        ]
      )
    })
  )

  effect(
    "that do not exist, or for ever, are refused",
    Effect.gen(function* () {
      const audit = yield* Audit
      assert.strictEqual((yield* post("/admin/breakers/up%2Fx/trip", { forMs: 1, reason })).status, 404)
      for (const forMs of [0, -1, 86_400_001, 1e30, undefined]) {
        assert.strictEqual((yield* post("/admin/breakers/down%2Fy/trip", { forMs, reason })).status, 400)
      }
      assert.strictEqual((yield* post("/admin/breakers/down%2Fy/reset", {})).status, 400)
      assert.deepStrictEqual(yield* audit.list(10), [])
    })
  )
})

describe("kill switches", () => {
  effect(
    "go off and on, each act with its row",
    Effect.gen(function* () {
      const off = { kind: "provider", target: "up", off: true, note: "incident 12", reason }
      const shown = [{ kind: "provider", target: "up", note: "incident 12" }]
      assert.deepStrictEqual((yield* post("/admin/kill-switches", off)).body, { data: shown })
      assert.deepStrictEqual((yield* ask("GET", "/admin/kill-switches")).body, { data: shown })
      assert.deepStrictEqual((yield* post("/admin/kill-switches", { ...off, off: false })).body, { data: [] })
      const all = yield* post("/admin/kill-switches", { kind: "all", off: true, reason })
      assert.strictEqual(all.body.data[0].kind, "all")
      const { body } = yield* ask("GET", "/admin/audit")
      assert.deepStrictEqual(
        body.data.map((row: { action: string; subject: string }) => [row.action, row.subject]),
        [
          ["kill-switch.off", "all"],
          ["kill-switch.on", "provider:up"],
          ["kill-switch.off", "provider:up"]
        ]
      )
      assert.deepStrictEqual(body.data[1].before, shown[0])
      assert.isNull(body.data[1].after)
    })
  )

  effect(
    "for what does not exist are refused, with the names that do",
    Effect.gen(function* () {
      for (const [kind, known] of [
        ["provider", /up, down/u],
        ["model", /chat/u]
      ] as const) {
        const answer = yield* post("/admin/kill-switches", { kind, target: "nobody", off: true, reason })
        assert.strictEqual(answer.status, 404)
        assert.match(answer.body.error.message, known)
      }
      for (const body of [
        { kind: "tenant", off: true, reason },
        { kind: "planet", target: "x", off: true, reason },
        { kind: "tenant", target: "x", off: "yes", reason },
        { kind: "tenant", target: "x", off: true }
      ]) {
        assert.strictEqual((yield* post("/admin/kill-switches", body)).status, 400)
      }
      assert.deepStrictEqual((yield* ask("GET", "/admin/kill-switches")).body, { data: [] })
    })
  )
})

describe("the audit table", () => {
  effect(
    "what cannot be written into it is not done",
    Effect.gen(function* () {
      const control = yield* TestAudit.AuditControl
      const made = yield* post("/admin/keys", newKey)
      control.broken(true)
      for (const [method, path, body] of everything) {
        if (method === "GET") continue
        const answer = yield* ask(method, path.replace("0123456789ab", made.body.id), { ...good, body })
        assert.strictEqual(answer.status, 503, path)
        assert.strictEqual(answer.body.error.code, "full")
      }
      assert.strictEqual((yield* (yield* Tenants).identify(made.body.key)).id, "acme")
      const { data: keys } = (yield* ask("GET", "/admin/keys")).body
      assert.deepStrictEqual([keys.length, keys[0].revokedAtMs, keys[0].rotatedTo], [1, null, null])
      assert.isFalse((yield* ask("GET", "/admin/budgets/acme")).body.own)
      assert.deepStrictEqual(recomputed, [])
      const { data: breakers } = (yield* ask("GET", "/admin/breakers")).body
      assert.isTrue(breakers.every(({ state }: { state: string }) => state === "closed"))
      assert.deepStrictEqual((yield* ask("GET", "/admin/kill-switches")).body, { data: [] })
    })
  )

  effect(
    "an actor's name is bounded and has no control characters",
    Effect.gen(function* () {
      yield* post("/admin/keys", newKey, { "x-ballast-actor": ` ${"a".repeat(500)}` })
      yield* post("/admin/keys", newKey, { "x-ballast-actor": "   " })
      const { body } = yield* ask("GET", "/admin/audit")
      assert.deepStrictEqual(
        body.data.map(({ actor }: { actor: string }) => actor),
        ["admin-api", "a".repeat(128)]
      )
    })
  )
})

/** Two servers on one Redis and one Postgres: what they share, seen by clients. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { BallastConfigInput } from "../../src/domain/config-file.ts"
import { database, available as postgresAvailable } from "../support/postgres.ts"
import { available, breakable, redis, startRedis } from "../support/redis.ts"
import { boot, transparent } from "../support/server.ts"
import type { Booted } from "../support/server.ts"

const body = JSON.stringify({ model: "chat", messages: [{ role: "user", content: "Hello" }] })

const post = ({ url }: Booted, headers: Readonly<Record<string, string>> = {}, text = body) =>
  Effect.promise(async () => {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: text
    })
    return { status: response.status, headers: response.headers, text: await response.text() }
  })

const server = (
  url: string,
  prefix: string,
  more: BallastConfigInput = {},
  env: Readonly<Record<string, string>> = {}
) =>
  boot({
    env: { REDIS_URL: url, ...env },
    config: { ...more, stores: { redis: { url: { env: "REDIS_URL" }, prefix, timeoutMs: 200 }, ...more.stores } }
  })

describe.skipIf(!available)("two servers on one Redis", () => {
  it.live("have one rate limit", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { prefix, url } = yield* redis
        const policies = { ...transparent, rateLimits: { ...transparent.rateLimits, user: { requestsPerMinute: 5 } } }
        const servers = [yield* server(url, prefix, { policies }), yield* server(url, prefix, { policies })] as const
        const statuses: Array<number> = []
        for (let n = 0; n < 8; n++) {
          statuses.push((yield* post(servers[n % 2 === 0 ? 0 : 1], { "x-ballast-user": "ann" })).status)
        }
        assert.deepStrictEqual(statuses, [200, 200, 200, 200, 200, 429, 429, 429])
      })
    )
  )

  it.live("promise 7: tenants never meet, whatever headers a client forges", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { prefix, url } = yield* redis
        const policies = { ...transparent, rateLimits: { tenant: { requestsPerMinute: 2 } } }
        const auth = {
          mode: "keys" as const,
          keys: [
            { key: { env: "A" }, tenant: "a" },
            { key: { env: "B" }, tenant: "b" }
          ]
        }
        const one = yield* server(url, prefix, { policies, auth }, { A: "key-of-a", B: "key-of-b" })
        const as = (key: string) => ({
          authorization: `Bearer ${key}`,
          "x-ballast-tenant": "b",
          "x-tenant-id": "b",
          "x-request-id": "req_chosen"
        })
        for (const expected of [200, 200, 429]) assert.strictEqual((yield* post(one, as("key-of-a"))).status, expected)
        assert.strictEqual((yield* post(one, as("key-of-b"))).status, 200)
      })
    )
  )

  it.live("a client who chooses its request id, twice the same, pays twice", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { prefix, url } = yield* redis
        // The six tokens of an answer cost twelve micro-dollars, a prompt some ten.
        const budgets = { tenant: { day: { microUsd: 3_000 } } }
        const one = yield* server(url, prefix, { policies: { ...transparent, budgets } })
        const asked = JSON.stringify({ ...JSON.parse(body), max_tokens: 600 })
        const answers = yield* Effect.forEach(
          Array.from({ length: 6 }),
          () => post(one, { "x-request-id": "req_same" }, asked),
          { concurrency: "unbounded" }
        )
        const statuses = answers.map(({ status }) => status)
        assert.strictEqual(statuses.filter((status) => status === 200).length, 2)
        const refused = answers.find(({ status }) => status === 429)
        assert.include(refused?.text, "insufficient_quota")
        assert.strictEqual(refused?.headers.get("x-should-retry"), "false")
      })
    )
  )
})

describe.skipIf(!available || !postgresAvailable)("two servers on one Redis and one Postgres", () => {
  it.live("write every answer to the books, once, and warn near the end of a budget", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { prefix, url } = yield* redis
        const books = yield* database
        const more: BallastConfigInput = {
          stores: { postgres: { url: { env: "DATABASE_URL" } } },
          admin: { token: { env: "TOKEN" } },
          policies: { ...transparent, budgets: { tenant: { day: { microUsd: 100_000 } }, soft: 0.0001 } }
        }
        const env = { DATABASE_URL: books.url, TOKEN: "an-admin-token" }
        const servers = [yield* server(url, prefix, more, env), yield* server(url, prefix, more, env)] as const
        for (let n = 0; n < 6; n++) {
          const { headers, status } = yield* post(servers[n % 2 === 0 ? 0 : 1])
          assert.strictEqual(status, 200)
          assert.include(headers.get("x-llm-budget-warning"), "tenant;window=day;unit=micro-usd")
        }
        const status = () =>
          Effect.promise(async () => {
            const response = await fetch(`${servers[1].admin}/admin/budgets/local`, {
              headers: { authorization: "Bearer an-admin-token" }
            })
            return (await response.json()) as {
              readonly status?: { readonly caps: ReadonlyArray<{ readonly spent: number; readonly reserved: number }> }
            }
          })
        let text = ""
        for (let n = 0; n < 500; n++) {
          text = JSON.stringify(yield* status())
          if (text.includes('"reserved":0')) break
          yield* Effect.sleep(20)
        }
        assert.include(text, '"reserved":0')
      })
    )
  )
})

describe.skipIf(!breakable)("promise 10: a dead store does not stop the service", () => {
  it.live("Redis hangs, and requests are answered on this process's share", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const broken = yield* startRedis
        const policies = {
          ...transparent,
          rateLimits: { ...transparent.rateLimits, user: { requestsPerMinute: 6_000 } }
        }
        const one = yield* boot({
          env: { REDIS_URL: broken.url },
          config: { policies, stores: { redis: { url: { env: "REDIS_URL" } } } }
        })
        assert.strictEqual((yield* post(one, { "x-ballast-user": "ann" })).status, 200)
        yield* broken.pause
        const answers = yield* Effect.forEach(Array.from({ length: 30 }), () => post(one, { "x-ballast-user": "ann" }))
        assert.deepStrictEqual([...new Set(answers.map(({ status }) => status))], [200])
        const ready = yield* Effect.promise(async () => (await fetch(`${one.url}/readyz`)).json())
        assert.deepStrictEqual(ready, { status: "ready", stores: { redis: "away" } })
        yield* broken.resume
        for (;;) {
          yield* post(one, { "x-ballast-user": "ann" })
          const state = yield* Effect.promise(async () => (await fetch(`${one.url}/readyz`)).text())
          if (state.includes('"up"')) break
        }
      })
    )
  )
})

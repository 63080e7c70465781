/** The routes without a socket: requests and answers as plain values. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { TenantId } from "../../../../src/domain/caller.ts"
import type { Model } from "../../../../src/domain/catalog.ts"
import * as CatalogConfig from "../../../../src/layers/catalog/config.ts"
import * as TenantsConfig from "../../../../src/layers/tenants/config.ts"
import * as OtherRoutes from "../../../../src/programs/server/other-routes.ts"

const model = (alias: string): Model => ({
  alias,
  kind: "chat",
  candidates: [{ provider: "up", model: "x" }],
  price: { input: 1, output: 2 },
  contextTokens: 100,
  maxOutputTokens: 10
})

const shown = (alias: string) => ({
  id: alias,
  object: "model",
  created: 17,
  owned_by: "up",
  context_window: 100,
  max_output_tokens: 10
})

const state = { draining: false }
const options = { draining: () => state.draining, startedAt: 17 }
const tenants = TenantsConfig.layerKeys([
  { key: Redacted.make("sk-1"), tenant: TenantId.make("acme"), plan: "standard" }
])
const routes = Layer.mergeAll(OtherRoutes.api(options), OtherRoutes.health(options)).pipe(
  Layer.provide([CatalogConfig.layer([model("a"), model("vendor/b")]), tenants])
)

const ask = Effect.fnUntraced(function* (
  path: string,
  {
    headers = { authorization: "Bearer sk-1" },
    method = "GET"
  }: { method?: string; headers?: Record<string, string> } = {}
) {
  const app = yield* HttpRouter.toHttpEffect(routes)
  const request = HttpServerRequest.fromWeb(new Request(`http://gateway${path}`, { method, headers }))
  const response = yield* Effect.provideService(app, HttpServerRequest.HttpServerRequest, request)
  const web = HttpServerResponse.toWeb(response)
  return { status: web.status, headers: web.headers, body: JSON.parse(yield* Effect.promise(() => web.text())) }
}, Effect.scoped)

describe("models", () => {
  it.effect("are listed, with and without the base path and a slash at the end", () =>
    Effect.gen(function* () {
      for (const path of ["/v1/models", "/models", "/v1/models/", "/v1/models?limit=1"]) {
        const { body, headers, status } = yield* ask(path)
        assert.strictEqual(status, 200, path)
        assert.deepStrictEqual(body, { object: "list", data: [shown("a"), shown("vendor/b")] })
        assert.match(headers.get("x-request-id") ?? "", /^req_/u)
      }
    })
  )

  it.effect("are shown one by one, names with slashes too, escaped or not", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* ask("/v1/models/a")).body, shown("a"))
      for (const path of ["/v1/models/vendor/b", "/models/vendor%2Fb"]) {
        assert.deepStrictEqual((yield* ask(path)).body, shown("vendor/b"), path)
      }
    })
  )

  it.effect("unknown ones are not found", () =>
    Effect.gen(function* () {
      for (const alias of ["c", "A", "a/b", "constructor"]) {
        const { body, headers, status } = yield* ask(`/v1/models/${alias}`, {
          headers: { authorization: "Bearer sk-1", "x-request-id": "mine" }
        })
        assert.strictEqual(status, 404, alias)
        assert.strictEqual(body.error.code, "model_not_found")
        assert.strictEqual(body.error.request_id, "mine")
        assert.strictEqual(headers.get("x-request-id"), "mine")
        assert.strictEqual(headers.get("x-should-retry"), "false")
      }
    })
  )

  it.effect("are for those with a key", () =>
    Effect.gen(function* () {
      for (const headers of [{}, { authorization: "Bearer sk-2" }]) {
        for (const path of ["/v1/models", "/v1/models/a", "/v1/models/none"]) {
          const answer = yield* ask(path, { headers })
          assert.strictEqual(answer.status, 401, path)
          assert.strictEqual(answer.headers.get("www-authenticate"), 'Bearer realm="ballast"')
          assert.notInclude(JSON.stringify(answer.body), "vendor")
        }
      }
      assert.strictEqual((yield* ask("/v1/models", { headers: { "api-key": "sk-1" } })).status, 200)
    })
  )
})

describe("what does not exist", () => {
  it.effect("is told the way an API tells it, without the query", () =>
    Effect.gen(function* () {
      for (const [method, path] of [
        ["GET", "/nowhere?key=s3cret"],
        ["POST", "/v1/completions"],
        ["POST", "/v1/models"],
        ["DELETE", "/"]
      ] as const) {
        const { body, status } = yield* ask(path, { method, headers: {} })
        assert.strictEqual(status, 404, path)
        assert.include(body.error.message, method)
        assert.notInclude(JSON.stringify(body), "s3cret")
      }
    })
  )

  it.effect("a wrong method on a route of ours is told the right one", () =>
    Effect.gen(function* () {
      for (const path of ["/v1/chat/completions", "/chat/completions", "/v1/embeddings", "/embeddings"]) {
        const { headers, status } = yield* ask(path)
        assert.strictEqual(status, 405, path)
        assert.strictEqual(headers.get("allow"), "POST")
      }
    })
  )
})

describe("health", () => {
  it.effect("a draining server is alive and not ready", () =>
    Effect.gen(function* () {
      const look = Effect.forEach(["/livez", "/health/liveliness", "/readyz", "/health/readiness"], (path) =>
        Effect.map(ask(path, { headers: {} }), ({ body, status }) => [status, body.status])
      )
      const alive = [200, "alive"]
      assert.deepStrictEqual(yield* look, [alive, alive, [200, "ready"], [200, "ready"]])
      state.draining = true
      yield* Effect.addFinalizer(() => Effect.sync(() => (state.draining = false)))
      assert.deepStrictEqual(yield* look, [alive, alive, [503, "draining"], [503, "draining"]])
    })
  )
})

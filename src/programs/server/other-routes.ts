/**
 * Everything of the server that is not hot, on Effect's own router: models,
 * health, and OpenAI's error bodies for what does not exist.
 */
import { Effect, Layer, Random } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import type { Model } from "../../domain/catalog.ts"
import { errorBody, retryAfterMs, rowOf } from "../../domain/error-table.ts"
import { RequestError } from "../../domain/errors.ts"
import type { AuthError } from "../../domain/errors.ts"
import { Catalog } from "../../services/catalog.ts"
import type { StoreChange } from "../../services/store-health.ts"
import { Tenants } from "../../services/tenants.ts"
import { newId } from "../request.ts"
import { tenantFor } from "./identify.ts"
import * as RequestId from "./request-id.ts"

/** What the routes ask about the server's own state. */
export interface Options {
  readonly draining: () => boolean
  /** Epoch seconds, shown as the models' `created`. */
  readonly startedAt: number
  /** How the stores are, where there are any. */
  readonly stores?: Effect.Effect<ReadonlyArray<StoreChange>>
}

const modelBody = (model: Model, created: number) => ({
  id: model.alias,
  object: "model",
  created,
  owned_by: model.candidates[0].provider,
  context_window: model.contextTokens,
  max_output_tokens: model.maxOutputTokens
})

/** The id of the current request: the client's own, or a new one. */
const requestId = Effect.gen(function* () {
  const { headers } = yield* HttpServerRequest.HttpServerRequest
  return RequestId.fromHeader(headers["x-request-id"]) ?? newId(yield* Random.Random)
})

const refuse = (error: RequestError | AuthError) =>
  Effect.map(requestId, (id) => {
    const { clientRetry, status } = rowOf(error)
    const headers: Record<string, string> = { "x-request-id": id, "x-should-retry": String(clientRetry) }
    const after = retryAfterMs(error)
    if (after !== undefined) headers["retry-after"] = String(Math.ceil(after / 1000))
    if (status === 401) headers["www-authenticate"] = 'Bearer realm="ballast"'
    if (error.reason._tag === "MethodNotAllowed") headers["allow"] = error.reason.allow
    return HttpServerResponse.jsonUnsafe(errorBody(error, id), { status, headers })
  })

/** Liveness: the process answers. Never depends on a provider or a store. */
const alive = Effect.succeed(HttpServerResponse.jsonUnsafe({ status: "alive" }))

/**
 * Health routes, for the main port and the admin port alike. A store that is
 * away is told and makes nobody unready: the service goes on without it.
 */
export const health = (options: Options): Layer.Layer<never, never, HttpRouter.HttpRouter> => {
  const ready = Effect.map(options.stores ?? Effect.succeed([]), (states) => {
    const stores = Object.fromEntries(states.map(({ store, up }) => [store, up ? "up" : "away"]))
    const detail = states.length === 0 ? {} : { stores }
    return options.draining()
      ? HttpServerResponse.jsonUnsafe({ status: "draining", ...detail }, { status: 503 })
      : HttpServerResponse.jsonUnsafe({ status: "ready", ...detail })
  })
  return HttpRouter.addAll([
    HttpRouter.route("GET", "/livez", alive),
    HttpRouter.route("GET", "/health/liveliness", alive),
    HttpRouter.route("GET", "/readyz", ready),
    HttpRouter.route("GET", "/health/readiness", ready)
  ])
}

/** Model routes and the answers for unknown URLs and wrong methods. */
export const api = (options: Options): Layer.Layer<never, never, HttpRouter.HttpRouter | Catalog | Tenants> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const catalog = yield* Catalog
      const tenants = yield* Tenants
      const identified = (
        answer: Effect.Effect<HttpServerResponse.HttpServerResponse, RequestError, HttpRouter.RouteContext>
      ) =>
        Effect.gen(function* () {
          const { headers } = yield* HttpServerRequest.HttpServerRequest
          yield* tenantFor(tenants, (name) => headers[name], "models")
          return HttpServerResponse.setHeader(yield* answer, "x-request-id", yield* requestId)
        }).pipe(Effect.catch(refuse))

      const list = HttpServerResponse.jsonUnsafe({
        object: "list",
        data: catalog.list.map((model) => modelBody(model, options.startedAt))
      })
      const models = identified(
        Effect.gen(function* () {
          // The router decodes the rest of the path; it is empty for the list.
          const { "*": id = "" } = yield* HttpRouter.params
          if (id === "") return list
          const model = catalog.list.find(({ alias }) => alias === id)
          if (model === undefined) return yield* new RequestError({ reason: { _tag: "UnknownModel", model: id } })
          return HttpServerResponse.jsonUnsafe(modelBody(model, options.startedAt))
        })
      )
      const wrongMethod = Effect.gen(function* () {
        const { method } = yield* HttpServerRequest.HttpServerRequest
        return yield* refuse(new RequestError({ reason: { _tag: "MethodNotAllowed", method, allow: "POST" } }))
      })
      const unknown = Effect.gen(function* () {
        const { method, url } = yield* HttpServerRequest.HttpServerRequest
        const path = url.split("?", 1)[0] ?? url
        return yield* refuse(new RequestError({ reason: { _tag: "NoSuchRoute", method, path } }))
      })
      return HttpRouter.addAll([
        // A wildcard, because aliases may contain slashes, as in `vendor/model`; the router makes it match the list as well.
        HttpRouter.route("GET", "/v1/models/*", models),
        HttpRouter.route("GET", "/models/*", models),
        HttpRouter.route("*", "/v1/chat/completions", wrongMethod),
        HttpRouter.route("*", "/chat/completions", wrongMethod),
        HttpRouter.route("*", "/v1/embeddings", wrongMethod),
        HttpRouter.route("*", "/embeddings", wrongMethod),
        HttpRouter.route("*", "*", unknown)
      ])
    })
  )

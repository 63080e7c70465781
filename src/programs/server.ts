/**
 * The server: the hot routes straight on `node:http`, everything else on
 * Effect's router over the same socket, metrics on a port of their own.
 *
 * Its life: listen, serve until interrupted (SIGTERM), then drain: readiness
 * off, no new work, streams finish within `drainMs`, what is left is told so
 * and cut.
 */
import * as Http from "node:http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Clock, Context, Effect, Fiber, Layer, Random, Schema } from "effect"
import type { Scope } from "effect"
import { HttpRouter } from "effect/http"
import { PrometheusMetrics } from "effect/observability"
import "effect/schema/SchemaJITCompiler/enable"
import type { ResolvedConfig } from "../domain/config.ts"
import type { StoreError } from "../domain/errors.ts"
import * as NodeExchange from "../layers/exchange/node.ts"
import { StoreHealth } from "../services/store-health.ts"
import { Tenants } from "../services/tenants.ts"
import { Timers } from "../services/timers.ts"
import * as AdminRoutes from "./admin/routes.ts"
import * as Ballast from "./ballast.ts"
import { newId } from "./request.ts"
import * as ClientErrors from "./server/client-errors.ts"
import * as OtherRoutes from "./server/other-routes.ts"
import * as ProcessMetrics from "./server/process-metrics.ts"
import * as Routes from "./server/routes.ts"

/** The server could not start: the port is taken, or may not be used. */
export class ServeError extends Schema.TaggedError<ServeError>()("ServeError", {
  reason: Schema.TaggedStruct("CannotListen", { host: Schema.String, port: Schema.Int, code: Schema.String })
}) {
  override get message(): string {
    const { code, host, port } = this.reason
    return code === "EADDRINUSE"
      ? `Port ${port} on ${host} is in use. Stop what uses it, or choose another with --port or BALLAST_PORT.`
      : `Cannot listen on ${host}:${port} (${code}).`
  }
}

/** Where a running server is. */
export interface Address {
  readonly host: string
  readonly port: number
}

/** A running server. */
export interface Running {
  readonly api: Address
  readonly admin: Address
  /** Requests being handled now. */
  readonly active: () => number
}

/** Start the server on the services of the context; it drains and stops when the scope closes. */
export const start = (config: ResolvedConfig): Effect.Effect<Running, ServeError, Ballast.Services | Scope.Scope> =>
  Effect.gen(function* () {
    const context = yield* Effect.context<Ballast.Services>()
    const clock = yield* Clock.Clock
    const timers = Context.get(context, Timers)
    const state = { draining: false }
    const draining = () => state.draining
    const stores = Context.get(context, StoreHealth).states
    const startedAt = Math.floor(clock.currentTimeMillisUnsafe() / 1000)

    const handlerOf = Routes.handlers(
      {
        draining,
        tenants: Context.get(context, Tenants),
        trustProxy: config.server.trustProxy,
        features: config.features
      },
      context
    )
    const edge = NodeExchange.make({ limits: config.server, timers, context, handlerOf, closing: draining })
    const server = Http.createServer({
      maxHeaderSize: config.server.headerLimitBytes,
      headersTimeout: config.server.bodyTimeoutMs,
      requestTimeout: config.server.bodyTimeoutMs,
      connectionsCheckingInterval: Math.max(250, Math.min(1_000, config.server.bodyTimeoutMs / 4)),
      keepAliveTimeout: keepAliveMs,
      // What a slow client may leave in our memory before its upstream is no longer read.
      highWaterMark: config.server.maxBufferedBytes,
      noDelay: true
    })
    if (config.server.maxConnections !== undefined) server.maxConnections = config.server.maxConnections
    const otherRoutes = Layer.mergeAll(
      OtherRoutes.api({ draining, startedAt }),
      OtherRoutes.health({ draining, startedAt, stores })
    )
    const scope = yield* Effect.scope
    const other = yield* NodeHttpServer.makeHandler(yield* HttpRouter.toHttpEffect(otherRoutes), { scope })
    server.on("request", (request, response) => {
      if (state.draining) response.shouldKeepAlive = false
      if (!edge.handle(request, response)) other(request, response)
    })
    const random = Context.get(context, Random.Random)
    server.on(
      "clientError",
      ClientErrors.listener(() => newId(random))
    )

    const admin = Http.createServer()
    const adminRoutes = Layer.mergeAll(
      OtherRoutes.health({ draining, startedAt, stores }),
      PrometheusMetrics.layerHttp(),
      ProcessMetrics.layer,
      AdminRoutes.routes(config.adminToken)
    )
    admin.on("request", yield* NodeHttpServer.makeHandler(yield* HttpRouter.toHttpEffect(adminRoutes), { scope }))

    yield* Effect.acquireRelease(listen(admin, config.server.adminHost, config.server.adminPort), () => close(admin))
    yield* Effect.acquireRelease(listen(server, config.server.host, config.server.port), () =>
      drain(server, edge, state, config.server.drainMs)
    )
    return {
      api: addressOf(server, config.server.host),
      admin: addressOf(admin, config.server.adminHost),
      active: edge.active
    }
  })

/** Serve a configuration until interrupted. `onStart` is told where. */
export const serve = (
  config: ResolvedConfig,
  onStart: (running: Running) => Effect.Effect<void> = () => Effect.void
): Effect.Effect<never, ServeError | StoreError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const context = yield* Layer.build(Ballast.layer(config))
      yield* onStart(yield* Effect.provideContext(start(config), context))
      return yield* Effect.never
    })
  )

/** Longer than the idle timeout of the usual load balancers (60 s), so that they close first and no request meets a closing socket. */
const keepAliveMs = 75_000

const listen = (server: Http.Server, host: string, port: number): Effect.Effect<void, ServeError> =>
  Effect.callback((resume) => {
    const onError = (error: NodeJS.ErrnoException) => {
      resume(
        Effect.fail(new ServeError({ reason: { _tag: "CannotListen", host, port, code: error.code ?? error.name } }))
      )
    }
    server.once("error", onError)
    server.listen({ host, port }, () => {
      server.off("error", onError)
      resume(Effect.void)
    })
  })

const addressOf = (server: Http.Server, host: string): Address => {
  const address = server.address()
  return { host, port: typeof address === "object" && address !== null ? address.port : 0 }
}

const close = (server: Http.Server): Effect.Effect<void> =>
  Effect.callback((resume) => {
    server.close(() => resume(Effect.void))
    server.closeAllConnections()
  })

/**
 * No new work, let what runs finish within `drainMs`, tell the rest and cut it.
 *
 * The port stays open meanwhile: what is on its way already, or comes from a
 * balancer that has not noticed yet, gets the typed refusal. A listener that
 * closed at once would reset every connection the kernel has taken and we have
 * not, and with it requests that nobody ever answers.
 */
const drain = (
  server: Http.Server,
  edge: NodeExchange.Edge,
  state: { draining: boolean },
  drainMs: number
): Effect.Effect<void> =>
  Effect.gen(function* () {
    state.draining = true
    const finished = yield* Effect.timeoutOption(edge.idle, drainMs)
    // Closed once its last connection is: kept-alive ones that fall idle are closed by Node from here on.
    const closed = yield* Effect.forkChild(closeGently(server), { startImmediately: true })
    if (finished._tag === "None") edge.interruptAll()
    // The last words of a cut stream, or the answer to a request that has just come, need a moment to reach the client.
    yield* Effect.timeoutOption(Fiber.await(closed), lastWordsMs)
    server.closeAllConnections()
    yield* Fiber.await(closed)
  })

const lastWordsMs = 500

/** Most connections that can wait to be taken: Node's default backlog, and some that come meanwhile. */
const mostTurns = 1_024

/**
 * Close the port once nobody waits at it: the event loop takes one connection
 * a turn, and those that still wait when a listener closes are reset.
 */
const closeGently = (server: Http.Server): Effect.Effect<void> =>
  Effect.callback((resume) => {
    let taken = true
    let turns = 0
    const onConnection = () => {
      taken = true
    }
    const turn = () => {
      if (taken && turns++ < mostTurns) {
        taken = false
        setImmediate(turn)
        return
      }
      server.off("connection", onConnection)
      server.close(() => resume(Effect.void))
      server.closeIdleConnections()
    }
    server.on("connection", onConnection)
    setImmediate(turn)
  })

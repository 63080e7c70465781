/**
 * The transport for production: undici's `dispatch`, one pool of kept-alive
 * connections for each origin, one callback for each call.
 *
 * Measured beside Effect's own HttpClient this halves the CPU of a minimal
 * proxy. What it does not do: no timers and no AbortSignal for a call (time is
 * bounded by the caller's shared wheel), no redirects, no decompression (no
 * `accept-encoding` is sent), no retries.
 */
import { Effect, Layer, Scope } from "effect"
import * as Context from "effect/Context"
import { Agent } from "undici"
import { defaults } from "../../domain/policy.ts"
import * as LeaseScope from "../../services/lease-scope.ts"
import type { Timers } from "../../services/timers.ts"
import { Transport, TransportError } from "../../services/transport.ts"
import type { TransportReason } from "../../services/transport.ts"
import { Exchange } from "./undici-exchange.ts"
import type { ExchangeHost } from "./undici-exchange.ts"

/** Longest time, in ms, that a finished call may wait for its last bytes; it is looked at every so often, so up to twice this. */
const lingerMs = 1_000

/**
 * Settings of the pool.
 *
 * - `connectTimeoutMs`: longest wait for a connection; default 2,000. undici looks at it about twice a second above 1 s
 * - `connections`: most connections to one origin; default none, because the bulkhead bounds the calls
 * - `keepAliveMs`: how long an idle connection is kept where the server gives no hint; default 4,000, just under the
 *   5 s after which common servers hang up (a request sent at that moment would be lost)
 * - `timers`: the shared timers; with them the transport keeps the bounds of its calls
 * - `http2`: allow HTTP/2 where the server offers it; default `false`: one lost connection then costs one call
 */
export interface UndiciOptions {
  readonly connectTimeoutMs?: number | undefined
  readonly connections?: number | undefined
  readonly keepAliveMs?: number | undefined
  readonly http2?: boolean | undefined
  readonly timers?: Timers["Service"] | undefined
}

/** A transport whose connections are closed with the scope. */
export const make = (options: UndiciOptions = {}): Effect.Effect<Transport["Service"], never, Scope.Scope> =>
  Effect.gen(function* () {
    const connectTimeoutMs = options.connectTimeoutMs ?? defaults.timeouts.connectMs
    const agent = yield* Effect.acquireRelease(
      Effect.sync(
        () =>
          new Agent({
            connections: options.connections ?? null,
            pipelining: 1,
            connectTimeout: connectTimeoutMs,
            headersTimeout: 0,
            bodyTimeout: 0,
            keepAliveTimeout: options.keepAliveMs ?? 4_000,
            allowH2: options.http2 ?? false
          })
      ),
      (opened) => Effect.promise(() => opened.destroy())
    )
    const runFork = Effect.runForkWith(yield* Effect.context<Scope.Scope>())
    const lingering = new Set<Exchange>()
    let reaping = false
    const scope = yield* Effect.scope

    // One sleeping fiber while anything lingers, not a timer for each call.
    const reap: Effect.Effect<void> = Effect.suspend(() => {
      if (lingering.size === 0) {
        reaping = false
        return Effect.void
      }
      const old = [...lingering]
      return Effect.andThen(
        Effect.sleep(lingerMs),
        Effect.suspend(() => {
          for (const exchange of old) if (lingering.delete(exchange)) exchange.abort()
          return reap
        })
      )
    })

    const host: ExchangeHost = {
      timers: options.timers,
      dispatcher: agent,
      toError: (error, started) => new TransportError({ reason: reasonOf(error, started, connectTimeoutMs) }),
      linger: (exchange) => {
        lingering.add(exchange)
        if (reaping) return
        reaping = true
        runFork(Effect.forkIn(reap, scope))
      },
      lingered: (exchange) => {
        lingering.delete(exchange)
      }
    }

    return Transport.of({
      bounded: options.timers !== undefined,
      send: (request) =>
        Effect.withFiber((fiber) => {
          const exchange = new Exchange(host)
          // `send` requires a Scope, so the fiber's context has one.
          const callScope = Context.getUnsafe(fiber.context, Scope.Scope)
          const registered = LeaseScope.add(callScope, () => exchange.close())
          const started = exchange.start(request)
          return registered === undefined ? started : Effect.andThen(registered, started)
        })
    })
  })

/** {@link make} as a layer. */
export const layer = (options?: UndiciOptions): Layer.Layer<Transport> => Layer.effect(Transport, make(options))

/** undici and Node put a code on their errors; a failed race of addresses (`AggregateError`) has no message but a code. */
const codeOf = (error: Error): string | undefined =>
  "code" in error && typeof error.code === "string" ? error.code : undefined

/** The reason for an error of undici's: its code decides, and whether the answer had begun. */
export const reasonOf = (error: Error, started: boolean, connectTimeoutMs: number): TransportReason => {
  const code = codeOf(error)
  // The code, not the message: the message of a failed connection names the address, which is nobody else's business.
  const detail = code ?? error.name
  if (started) return { _tag: "Closed", detail }
  switch (code) {
    case "UND_ERR_CONNECT_TIMEOUT":
    case "ETIMEDOUT":
      return { _tag: "Timeout", phase: "connect", afterMs: connectTimeoutMs }
    case "UND_ERR_SOCKET":
    case "ECONNRESET":
    case "EPIPE":
    case "UND_ERR_RES_CONTENT_LENGTH_MISMATCH":
      return { _tag: "Closed", detail }
    default:
      return code?.startsWith("HPE_") === true
        ? { _tag: "Closed", detail }
        : { _tag: "Unreachable", detail, refused: code === "ECONNREFUSED" }
  }
}

/**
 * The hot routes: from an exchange to `complete` or `embed` and back. Here is
 * the one place where every error becomes a response and every request a
 * record, whether or not it got as far as the guards.
 */
import { Cause, Context, Effect, Exit, Random, Result, Scope } from "effect"
import { anonymous } from "../../domain/caller.ts"
import type { Caller } from "../../domain/caller.ts"
import { keyOf } from "../../domain/error-table.ts"
import { LeaseError, ShutdownError } from "../../domain/errors.ts"
import type { BallastError } from "../../domain/errors.ts"
import { Brownout } from "../../services/brownout.ts"
import type { Exchange, Handler } from "../../services/exchange.ts"
import * as Guard from "../../services/guard.ts"
import { Idempotency } from "../../services/idempotency.ts"
import type { StoredAnswer } from "../../services/idempotency.ts"
import * as LeaseScope from "../../services/lease-scope.ts"
import { CurrentRecord, fail, make } from "../../services/request-record.ts"
import type { RequestRecord } from "../../services/request-record.ts"
import { Telemetry } from "../../services/telemetry.ts"
import { Timers } from "../../services/timers.ts"
import { complete } from "../complete.ts"
import { embed } from "../embed.ts"
import type { Guards } from "../guards.ts"
import { newId } from "../request.ts"
import * as Answer from "./answer.ts"
import * as Decode from "./decode.ts"
import * as Headers from "./headers.ts"
import * as Idempotent from "./idempotent.ts"
import * as Identify from "./identify.ts"
import * as Refusal from "./refusal.ts"
import * as RequestId from "./request-id.ts"
import * as TraceContext from "./trace-context.ts"

/** What the routes need to know besides the guards. */
export interface Options extends Identify.Options {
  /** Whether the server takes new work. */
  readonly draining: () => boolean
}

/** Build the handlers of the hot routes once; they keep the guards' context. */
export const handlers = (options: Options, context: Context.Context<Guards | Idempotency>) => {
  const timers = Context.get(context, Timers)
  const telemetry = Context.get(context, Telemetry)
  const random = Context.get(context, Random.Random)
  const { refusal: help } = Context.get(context, Brownout)
  const now = timers.now
  const idempotency = Context.get(context, Idempotency)

  /** The record of an exchange whose caller is known. */
  const recordOf = (exchange: Exchange, operation: RequestRecord["operation"], caller: Caller): RequestRecord =>
    make({
      id: RequestId.fromHeader(exchange.header("x-request-id")) ?? newId(random),
      operation,
      caller,
      startedAt: exchange.startedAt,
      trace: TraceContext.parse(exchange.header("traceparent"))
    })

  /** Run a route: identify, decode, do `work`; whatever goes wrong becomes a response. */
  const route =
    <A extends { readonly model: string }>(
      operation: RequestRecord["operation"],
      decode: (body: Exchange["body"]) => Result.Result<A, BallastError>,
      userOf: (request: A) => string | null | undefined,
      work: (
        exchange: Exchange,
        record: RequestRecord,
        request: A,
        body: string
      ) => Effect.Effect<void, BallastError, Guards | Scope.Scope>
    ): Handler<Guards> =>
    (exchange) =>
      Effect.suspend(() => {
        let record: RequestRecord | undefined
        const key = exchange.header(Idempotent.header)
        // Held beyond the permits, until the answer is given: a refusal may be one that is kept.
        const keyScope = key === undefined ? undefined : LeaseScope.makeUnsafe()
        let recorded: Exchange | undefined
        const refuse = (error: BallastError) => {
          // Whatever failed before the guards took the record over is closed here.
          if (record === undefined || record.outcome === "pending") {
            record ??= recordOf(exchange, operation, anonymous)
            telemetry.begin(record)
            fail(record, keyOf(error))
            record.endedAt = now()
            telemetry.end(record)
          }
          const kept = !exchange.begun() && Idempotent.isFinal(error) ? recorded : undefined
          return respond(kept ?? exchange, record, error)
        }
        const scope = LeaseScope.makeUnsafe()
        const program = Guard.chain(Identify.caller(options, exchange, operation), (caller) => {
          const decoded = decode(exchange.body)
          if (Result.isFailure(decoded)) {
            record = recordOf(exchange, operation, caller)
            return Effect.fail(decoded.failure)
          }
          const known = recordOf(exchange, operation, Identify.withUser(caller, userOf(decoded.success)))
          record = known
          if (options.draining()) return Effect.fail(stopped(known.id))
          // Decoded means that the body could be read.
          const body = Result.getOrElse(exchange.body, () => "")
          const run = (to: Exchange) =>
            Effect.updateContext(
              work(to, known, decoded.success, body),
              (outer: Context.Context<Guards>): Context.Context<Guards | Scope.Scope> =>
                Context.add(Context.add(outer, Scope.Scope, scope), CurrentRecord, known)
            )
          if (key === undefined || keyScope === undefined) return run(exchange)
          return Effect.flatMap(
            Idempotent.enter(idempotency, key, exchange, known, body, keyScope),
            (entered): ReturnType<typeof run> => {
              if (entered._tag === "Replay") return replayed(exchange, known, decoded.success.model, entered.answer)
              recorded = entered.exchange
              return run(recorded)
            }
          )
        })
        const handled = Effect.onExit(program, (exit) => {
          const closing = LeaseScope.close(scope, exit)
          if (Exit.isSuccess(exit)) return closing ?? Effect.void
          const failure = Cause.findError(exit.cause)
          const answer = Effect.suspend(() =>
            Result.isSuccess(failure) ? refuse(failure.success) : afterwards(exchange, record, exit.cause)
          )
          return closing === undefined ? answer : Effect.andThen(closing, answer)
        })
        if (keyScope === undefined) return handled
        return Effect.onExit(handled, (exit) => LeaseScope.close(keyScope, exit) ?? Effect.void)
      })

  /** Give a kept answer again. It is a request like any other in the books, but for what it costs. */
  const replayed = (
    exchange: Exchange,
    record: RequestRecord,
    model: string,
    answer: StoredAnswer
  ): Effect.Effect<void> => {
    record.model = model
    telemetry.begin(record)
    return Effect.onExit(Idempotent.replay(exchange, record, now, answer), (exit) =>
      Effect.sync(() => {
        record.outcome = Exit.isSuccess(exit) ? "ok" : "cancelled"
        record.endedAt = now()
        telemetry.end(record)
      })
    )
  }

  /** Answer with the error, in whatever way is still possible. */
  const respond = (exchange: Exchange, record: RequestRecord, error: BallastError) =>
    Effect.flatMap(Refusal.make(error, record, now(), help), (refusal) =>
      Effect.sync(() => {
        if (exchange.begun()) {
          exchange.write(Refusal.event(error, record.id, help))
          exchange.end()
        } else {
          exchange.respond(refusal.status, refusal.headers, refusal.body)
        }
      })
    )

  /** Interrupted (the server stops now, or the client left, whom no word reaches) or a bug of ours. */
  const afterwards = (exchange: Exchange, record: RequestRecord | undefined, cause: Cause.Cause<unknown>) =>
    Effect.suspend(() => {
      const requestId = record?.id ?? newId(random)
      if (Cause.hasInterruptsOnly(cause)) {
        if (record === undefined) return Effect.void
        return respond(exchange, record, record.outcome === "LeaseError.Lost" ? lost(requestId) : stopped(requestId))
      }
      if (exchange.begun()) {
        exchange.write(`data: ${Refusal.defectBody(requestId)}\n\n`)
        exchange.end()
      } else {
        const headers = ["content-type", "application/json", "x-request-id", requestId, "x-should-retry", "false"]
        exchange.respond(500, headers, Refusal.defectBody(requestId))
      }
      return Effect.logError("request failed by a defect").pipe(
        Effect.annotateLogs({ requestId, defects: defectNames(cause) })
      )
    })

  const chat = route(
    "chat",
    Decode.chatRequest,
    (request) => request.user,
    (exchange, record, request, body) =>
      Effect.flatMap(complete(request, body), (completion): Effect.Effect<void, BallastError> =>
        request.stream === true
          ? Answer.sse(exchange, record, now, completion, request.stream_options?.include_usage === true)
          : Answer.whole(exchange, record, now, completion)
      )
  )

  const embeddings = route(
    "embeddings",
    Decode.embeddingRequest,
    (request) => request.user,
    (exchange, record, request, body) =>
      Effect.flatMap(embed(request, body), ({ data }) =>
        Effect.sync(() => exchange.respond(200, Headers.answer(record, now(), "application/json"), data))
      )
  )

  return (method: string, path: string): Handler<Guards> | undefined => {
    if (method !== "POST") return undefined
    switch (path) {
      case "/v1/chat/completions":
      case "/chat/completions":
        return chat
      case "/v1/embeddings":
      case "/embeddings":
        return embeddings
      default:
        return undefined
    }
  }
}

/** A client refused by a draining server finds another one at once. */
const drainingPauseMs = 100

const stopped = (requestId: string) =>
  new ShutdownError({ requestId, reason: { _tag: "Draining", retryAfterMs: drainingPauseMs } })

/** The place of the call went to somebody else: there is none for it before the next answer is over. */
const lost = (requestId: string) =>
  new LeaseError({ requestId, reason: { _tag: "Lost", retryAfterMs: drainingPauseMs } })

/** Names and stack frames of the defects; never their messages, which may quote a prompt. */
const defectNames = (cause: Cause.Cause<unknown>): ReadonlyArray<string> =>
  cause.reasons.flatMap((reason) =>
    Cause.isDieReason(reason)
      ? [
          reason.defect instanceof Error
            ? `${reason.defect.name} ${(reason.defect.stack ?? "")
                .split("\n")
                .filter((line) => /^\s+at /u.test(line))
                .slice(0, 5)
                .join(" ")}`
            : typeof reason.defect
        ]
      : []
  )

/**
 * Requests with an `Idempotency-Key`
 * (draft-ietf-httpapi-idempotency-key-header-07): the first one runs and its
 * answer is written down while it is sent; the same one again gets that answer,
 * before any guard, so that it costs no limit, no place and no money.
 *
 * Only what would be the same again is kept: a complete answer, and a refusal
 * that lies in the request itself. All else, a stream that was cut or a client
 * that left among it, frees the key.
 */
import { isUtf8 } from "node:buffer"
import { createHash } from "node:crypto"
import { Effect, Exit, Scope } from "effect"
import { keyOf } from "../../domain/error-table.ts"
import type { ErrorKey } from "../../domain/error-table.ts"
import { IdempotencyError } from "../../domain/errors.ts"
import type { BallastError } from "../../domain/errors.ts"
import type { Exchange, HeaderList } from "../../services/exchange.ts"
import * as Guard from "../../services/guard.ts"
import type { Idempotency, IdempotentRun, StoredAnswer } from "../../services/idempotency.ts"
import type { RequestRecord } from "../../services/request-record.ts"
import * as Headers from "./headers.ts"

/** The request header, in lower case. */
export const header = "idempotency-key"

/** 1 to 255 visible ASCII characters. */
const valid = /^[\x21-\x7e]{1,255}$/u

/** A request under a key: an exchange that is written down, or the answer that there is already. */
export type Entered =
  | { readonly _tag: "Run"; readonly exchange: Exchange }
  | { readonly _tag: "Replay"; readonly answer: StoredAnswer }

/**
 * Begin a request under `key`. `scope` holds the key: closed before the answer
 * is complete it is free again.
 */
export const enter = (
  idempotency: Idempotency["Service"],
  key: string,
  exchange: Exchange,
  record: RequestRecord,
  body: string,
  scope: Scope.Scope
): Effect.Effect<Entered, IdempotencyError> => {
  if (!valid.test(key)) return invalid
  const begun = idempotency.begin(record.caller.tenant, key, fingerprintOf(exchange, body))
  return Effect.map(Scope.provide(begun, scope), (found) =>
    found._tag === "Run" ? { _tag: "Run", exchange: new RecordedExchange(exchange, record, found) } : found
  )
}

const invalid = Effect.suspend(() =>
  Exit.fail(
    Guard.refusal(
      () =>
        new IdempotencyError({
          reason: { _tag: "InvalidKey", detail: "it must have 1 to 255 visible ASCII characters, and stand once" }
        })
    )
  )
)

/** The same for the same request alone. */
const fingerprintOf = ({ method, path }: Exchange, body: string): string =>
  createHash("sha256").update(`${method} ${path}\n`).update(body).digest("base64url")

/**
 * Errors that lie in the request itself, so that the same request has the same
 * error a day later. An unknown model is none of them: it may be added.
 */
const final: ReadonlySet<ErrorKey> = new Set<ErrorKey>([
  "RequestError.InvalidField",
  "RequestError.WrongKind",
  "RequestError.ContextTooLong",
  "ProviderError.BadRequest",
  "ProviderError.TooLarge"
])

/** Whether the answer to a request that failed so is kept. */
export const isFinal = (error: BallastError): boolean => final.has(keyOf(error))

/** What describes the answer itself. All else in a head is about the one request that it was given to. */
const kept = new Set([
  "content-type",
  "cache-control",
  "x-accel-buffering",
  "x-should-retry",
  "x-llm-answer",
  "x-llm-degraded-reason",
  "x-llm-provider",
  "x-llm-model"
])

const keptOf = (headers: HeaderList): HeaderList =>
  headers.filter((_, at) => kept.has((headers[at - (at % 2)] ?? "").toLowerCase()))

/** An exchange whose answer goes to the client and into a run. */
class RecordedExchange implements Exchange {
  readonly method: string
  readonly path: string
  readonly address: string | undefined
  readonly startedAt: number
  readonly body: Exchange["body"]
  private readonly exchange: Exchange
  private readonly record: RequestRecord
  private readonly run: IdempotentRun

  constructor(exchange: Exchange, record: RequestRecord, run: IdempotentRun) {
    this.method = exchange.method
    this.path = exchange.path
    this.address = exchange.address
    this.startedAt = exchange.startedAt
    this.body = exchange.body
    this.exchange = exchange
    this.record = record
    this.run = run
  }

  header(name: string): string | undefined {
    return this.exchange.header(name)
  }

  respond(status: number, headers: HeaderList, body: string | Uint8Array): void {
    const text = typeof body === "string" ? body : isUtf8(body) ? Buffer.from(body).toString() : undefined
    if (text !== undefined) {
      this.run.begin(status, keptOf(headers))
      this.run.append(text)
      this.complete()
    }
    this.exchange.respond(status, headers, body)
  }

  begin(status: number, headers: HeaderList): void {
    this.run.begin(status, keptOf(headers))
    this.exchange.begin(status, headers)
  }

  write(text: string): boolean {
    this.run.append(text)
    return this.exchange.write(text)
  }

  get drained(): Effect.Effect<void> {
    return this.exchange.drained
  }

  end(): void {
    this.complete()
    this.exchange.end()
  }

  begun(): boolean {
    return this.exchange.begun()
  }

  /** What stands in for the answer while the provider is down, or is only a part of it, is not the last word. */
  private complete(): void {
    const { rung } = this.record
    if (rung !== "partial" && rung !== "stale") this.run.complete()
  }
}

/** Give an answer again, at the speed of the client. */
export const replay = (
  exchange: Exchange,
  record: RequestRecord,
  now: () => number,
  answer: StoredAnswer
): Effect.Effect<void> =>
  Effect.suspend(() => {
    const headers = Headers.common(record, now())
    headers.push(...answer.headers, "idempotency-replayed", "true")
    if (!isStream(answer)) {
      exchange.respond(answer.status, headers, answer.body.join(""))
      return Effect.void
    }
    exchange.begin(answer.status, headers)
    return Effect.andThen(
      Effect.forEach(answer.body, (piece) => (exchange.write(piece) ? Effect.void : exchange.drained), {
        discard: true
      }),
      Effect.sync(() => exchange.end())
    )
  })

const isStream = ({ headers }: StoredAnswer): boolean =>
  headers[headers.indexOf("content-type") + 1]?.startsWith("text/event-stream") === true

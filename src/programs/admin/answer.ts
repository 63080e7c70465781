/**
 * How the admin API answers: JSON that no cache keeps, and for each failure its
 * status with a message that says what to do.
 */
import { Effect, Schema } from "effect"
import { HttpServerError, HttpServerRequest, HttpServerResponse } from "effect/http"
import type { HttpRouter } from "effect/http"
import type { StoreError } from "../../domain/errors.ts"
import type { Act } from "../../services/keys.ts"
import * as Access from "./access.ts"

/** What was asked for does not exist, or cannot be done as asked. */
export class AdminError extends Schema.TaggedError<AdminError>()("AdminError", {
  status: Schema.Literals([400, 404]),
  detail: Schema.String
}) {
  override get message(): string {
    return this.detail
  }
}

/** Everything that a route of the admin API can fail with. */
export type Failure = AdminError | StoreError | Schema.SchemaError | HttpServerError.HttpServerError

/** Where a route runs. */
export type Request =
  | HttpServerRequest.HttpServerRequest
  | HttpServerRequest.ParsedSearchParams
  | HttpRouter.RouteContext

/** Some routes of the admin API. `status`: of the answer, where `work` succeeds. */
export type Routes = ReadonlyArray<{
  readonly method: "GET" | "POST" | "PUT" | "DELETE"
  readonly path: `/admin/${string}`
  readonly status?: number
  readonly work: Effect.Effect<unknown, Failure, Request>
}>

/** Why somebody acts: mandatory for everything that changes something. */
export const Reason = Schema.String.check(
  Schema.isTrimmed(),
  Schema.isMinLength(1),
  Schema.isMaxLength(1_000)
).annotate({ description: "why: it is written into the audit table" })

const headers = { "cache-control": "no-store" }

const json = (value: unknown, status = 200) => HttpServerResponse.jsonUnsafe(value, { status, headers })

const refused = (status: number, code: string, message: string) =>
  json({ error: { message, type: status >= 500 ? "server_error" : "invalid_request_error", code } }, status)

const statusOf = ({ reason }: StoreError): number => {
  switch (reason._tag) {
    case "NotFound":
      return 404
    case "Conflict":
      return 409
    case "Invalid":
      return 400
    case "Script":
      return 500
    default:
      return 503
  }
}

const failed = (failure: Failure) => {
  switch (failure._tag) {
    case "AdminError":
      return refused(failure.status, failure.status === 404 ? "not_found" : "invalid_value", failure.message)
    case "StoreError":
      return refused(statusOf(failure), failure.reason._tag.toLowerCase(), failure.message)
    case "SchemaError":
      return refused(400, "invalid_value", failure.message)
    case "HttpServerError":
      return refused(400, "invalid_json", "The body cannot be read as JSON.")
  }
}

/** The answer of a route: `work`'s value as JSON, for whoever has the token. */
export const answer = <R>(
  allowed: Effect.Effect<boolean, never, HttpServerRequest.HttpServerRequest>,
  work: Effect.Effect<unknown, Failure, R>,
  status = 200
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, R | HttpServerRequest.HttpServerRequest> =>
  Effect.flatMap(allowed, (isAllowed) =>
    isAllowed
      ? work.pipe(
          Effect.map((value) => json(value, status)),
          Effect.catch((failure) => Effect.succeed(failed(failure)))
        )
      : Effect.succeed(
          HttpServerResponse.setHeader(
            refused(
              401,
              "invalid_admin_token",
              "The admin API needs its own token. Send it as 'Authorization: Bearer TOKEN'."
            ),
            "www-authenticate",
            'Bearer realm="ballast-admin"'
          )
        )
  )

const strict = { errors: "all", onExcessProperty: "error" } as const

/** The body, checked: unknown fields are refused, for they are mistakes. */
export const body = <A, R>(schema: Schema.ConstraintDecoder<A, R>) =>
  Effect.flatMap(
    Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => request.json),
    Schema.decodeUnknownEffect(schema, strict)
  )

/** The query, checked. */
export const query = <A, I extends Readonly<Record<string, string | ReadonlyArray<string> | undefined>>, R>(
  schema: Schema.ConstraintCodec<A, I, R, unknown>
) => HttpServerRequest.schemaSearchParams(schema, strict)

/** The act of the current request with its reason. */
export const act = (reason: string): Effect.Effect<Act, never, HttpServerRequest.HttpServerRequest> =>
  Effect.map(Access.actor, (actor) => ({ actor, reason }))

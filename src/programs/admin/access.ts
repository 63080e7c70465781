/**
 * Who may use the admin API, and who they say they are: one bearer token of its
 * own, never a tenant's key. Without a configured token there is no admin API.
 */
import { Effect, Redacted } from "effect"
import { HttpServerRequest } from "effect/http"
import { digest, sameDigest } from "../../layers/keys/secret.ts"
import { bearerOf } from "../server/identify.ts"

/** Longest name of an actor, in characters. */
const maxActor = 128

/**
 * Whether the current request has the token. Compared by digest and in
 * constant time, so that neither its length nor a beginning that is right can
 * be found out by trying.
 */
export const allowed = (
  token: Redacted.Redacted<string>
): Effect.Effect<boolean, never, HttpServerRequest.HttpServerRequest> => {
  const known = digest(Redacted.value(token))
  return Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) =>
    sameDigest(known, digest(bearerOf(headers["authorization"]) ?? ""))
  )
}

/** Who acts: what `x-ballast-actor` says, without control characters; else `admin-api`. All have the same token, so it is a claim. */
export const actor: Effect.Effect<string, never, HttpServerRequest.HttpServerRequest> = Effect.map(
  HttpServerRequest.HttpServerRequest,
  ({ headers }) => {
    const named = (headers["x-ballast-actor"] ?? "")
      .replace(/\p{Cc}/gu, "")
      .trim()
      .slice(0, maxActor)
    return named === "" ? "admin-api" : named
  }
)

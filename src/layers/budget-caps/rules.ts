/** What every layer of BudgetCaps asks of caps before it keeps them. */
import { Effect, Schema } from "effect"
import { Caps } from "../../domain/budget.ts"
import { StoreError } from "../../domain/errors.ts"

const decode = Schema.decodeUnknownEffect(Caps, { errors: "all", onExcessProperty: "error" })

/** Caps as they may be kept: whole, not negative, and without fields that mean nothing. */
export const check = (caps: unknown): Effect.Effect<Caps, StoreError> =>
  Effect.mapError(
    decode(caps),
    ({ message }) => new StoreError({ store: "postgres", reason: { _tag: "Invalid", detail: message } })
  )

/** Caps that a store holds; what cannot be read is not taken for "no caps". */
export const read = (caps: unknown): Effect.Effect<Caps, StoreError> =>
  Effect.mapError(
    decode(caps),
    ({ message }) =>
      new StoreError({ store: "postgres", reason: { _tag: "Schema", detail: `caps of another shape: ${message}` } })
  )

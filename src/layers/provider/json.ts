/**
 * JSON from the outside, read without exceptions. Upstream answers are checked
 * by hand for the few fields that decide anything: a schema at this border, the
 * hottest of all, would cost more than the parsing.
 */

/** The parsed value; `undefined` (never a JSON value) where `text` is not JSON. */
export const parse = (text: string): unknown => {
  // JSON.parse speaks in exceptions.
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** An object whose fields may be anything. */
export type JsonObject = { readonly [key: string]: unknown }

/** Whether `value` is an object, and neither null nor a list. */
export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** `value` where it is a string. */
export const stringOf = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined)

/** `value` where it is a number from 0, else 0: token counts. */
export const countOf = (value: unknown): number => (typeof value === "number" && value >= 0 ? value : 0)

/** The list that `value` is, or an empty one. */
export const listOf = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? value : [])

/**
 * The caller's own JSON text, sent on with as little work as possible. Parsing
 * and writing a long prompt again costs as much as a whole proxied call, so
 * only what must change is changed, in the text itself where that is safe.
 */
import { Result } from "effect"
import type { JsonObject } from "./json.ts"

/**
 * The JSON text of `request` with `model` as its model, and `extra` fields
 * (which `request` must not have, not even as null) added.
 *
 * `text` is the text that `request` was parsed from. It is sent on, edited in
 * place, only where no reader could disagree about the model: exactly one token
 * `"model"` in all of it, no escapes that could spell the key otherwise, and
 * the alias as its value. Everything else is encoded anew: JSON readers differ
 * in which of two equal keys they take, and a caller must not get past the
 * router by that. `undefined` where the request is nested too deeply to encode.
 */
export const rewrite = (
  text: string | undefined,
  request: JsonObject & { readonly model: string },
  model: string,
  extra: JsonObject | undefined
): string | undefined => {
  const renamed = text === undefined ? undefined : renameIn(text, request.model, model)
  if (renamed !== undefined) {
    if (extra === undefined) return renamed
    const appended = appendTo(renamed, extra)
    if (appended !== undefined) return appended
  }
  const encoded = Result.try(() => JSON.stringify({ ...request, ...extra, model }))
  return Result.isSuccess(encoded) ? encoded.success : undefined
}

const key = '"model"'

const renameIn = (text: string, alias: string, model: string): string | undefined => {
  const at = text.indexOf(key)
  // A second token, or an escape that spells a letter: some reader might take another field for the model.
  if (at === -1 || text.includes(key, at + 1) || text.includes("\\u00")) return undefined
  // An escaped quote before the token would make it the end of a longer string.
  if (at === 0 || text.charCodeAt(at - 1) === 0x5c) return undefined
  let from = at + key.length
  while (isSpace(text.charCodeAt(from))) from++
  if (text.charCodeAt(from++) !== 0x3a) return undefined
  while (isSpace(text.charCodeAt(from))) from++
  const value = JSON.stringify(alias)
  if (!text.startsWith(value, from)) return undefined
  return alias === model ? text : text.slice(0, from) + JSON.stringify(model) + text.slice(from + value.length)
}

const appendTo = (text: string, extra: JsonObject): string | undefined => {
  let end = text.length - 1
  while (isSpace(text.charCodeAt(end))) end--
  // The request has a model and messages, so the object is not empty and a comma is right.
  return text.charCodeAt(end) === 0x7d ? `${text.slice(0, end)},${JSON.stringify(extra).slice(1)}` : undefined
}

const isSpace = (code: number): boolean => code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09

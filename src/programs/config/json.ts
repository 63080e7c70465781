/**
 * JSON with the place of the mistake. `JSON.parse` makes the value; where it
 * refuses, or where a key stands twice (which it would swallow), a second
 * reading finds the line and the column.
 */
import { Option, Result, Schema } from "effect"

/** What is wrong with a JSON text, and where. Lines and columns count from 1. */
export interface JsonMistake {
  readonly line: number
  readonly column: number
  readonly detail: string
}

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))
const space = /[ \t\n\r]*/y
const number = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y
const word = /true|false|null/y
// oxlint-disable-next-line no-control-regex -- JSON forbids raw control characters in strings
const string = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y
const maxDepth = 100

/** The first mistake of `text`: broken syntax, or a key that stands twice in one object. */
const locate = (text: string): { readonly at: number; readonly detail: string } | undefined => {
  let at = 0
  let mistake: { readonly at: number; readonly detail: string } | undefined
  const fail = (detail: string, where = at): false => {
    mistake ??= { at: where, detail }
    return false
  }
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at
    const result = pattern.exec(text)
    if (result !== null) at = pattern.lastIndex
    return result?.[0]
  }
  const seen = (): string =>
    at >= text.length ? "the end of the file" : JSON.stringify(String.fromCodePoint(text.codePointAt(at) ?? 0))
  const comment = () => text.startsWith("//", at) || text.startsWith("/*", at)

  const list = (close: "}" | "]", depth: number, item: () => boolean): boolean => {
    if (depth > maxDepth) return fail("nested too deeply")
    at++
    match(space)
    if (text[at] === close) return ++at > 0
    for (;;) {
      match(space)
      if (text[at] === close) return fail(`a comma before "${close}" is not allowed`)
      if (!item()) return false
      match(space)
      if (text[at] === close) return ++at > 0
      if (text[at] !== ",")
        return fail(comment() ? "JSON has no comments" : `expected "," or "${close}", found ${seen()}`)
      at++
    }
  }
  const value = (depth: number): boolean => {
    match(space)
    if (text[at] === "{") {
      const keys = new Set<string>()
      return list("}", depth, () => {
        const start = at
        const key = match(string)
        if (key === undefined) {
          return fail(comment() ? "JSON has no comments" : `expected a key in double quotes, found ${seen()}`)
        }
        if (keys.has(key)) return fail(`the key ${key} stands twice in one object`, start)
        keys.add(key)
        match(space)
        if (text[at] !== ":") return fail(`expected ":" after the key ${key}, found ${seen()}`)
        at++
        return value(depth + 1)
      })
    }
    if (text[at] === "[") return list("]", depth, () => value(depth + 1))
    if (match(string) !== undefined || match(number) !== undefined || match(word) !== undefined) return true
    if (comment()) return fail("JSON has no comments")
    return fail(
      text[at] === '"' ? "this string is not closed or holds an illegal character" : `expected a value, found ${seen()}`
    )
  }
  if (value(0)) {
    match(space)
    if (at < text.length) fail(comment() ? "JSON has no comments" : `expected the end of the file, found ${seen()}`)
  }
  return mistake
}

/** The value of a JSON text (a leading byte order mark is ignored), or its first mistake. */
export const parse = (source: string): Result.Result<unknown, JsonMistake> => {
  const text = source.startsWith("\uFEFF") ? source.slice(1) : source
  const mistake = locate(text)
  if (mistake !== undefined) {
    const before = text.slice(0, mistake.at).split("\n")
    return Result.fail({
      line: before.length,
      column: (before[before.length - 1] ?? "").length + 1,
      detail: mistake.detail
    })
  }
  return Option.match(decode(text), {
    onNone: () => Result.fail({ line: 1, column: 1, detail: "not valid JSON" }),
    onSome: Result.succeed
  })
}

/**
 * A JSON file, or a `ConfigError` that says why there is none: the file is not
 * there, cannot be read, or is not JSON (with line and column).
 */
import { Effect, FileSystem, Result } from "effect"
import type { PlatformError } from "effect/PlatformError"
import { ConfigError } from "../../domain/config-error.ts"
import * as Json from "./json.ts"

const unreadable = (file: string, from: string, error: PlatformError): ConfigError =>
  new ConfigError({
    source: file,
    problems: [
      {
        path: "",
        found: error.reason._tag === "NotFound" ? "no such file" : `a file that cannot be read (${error.reason._tag})`,
        allowed: "a readable JSON file",
        hint: `the name came from ${from}`
      }
    ]
  })

/** The value of the JSON file `file`, whose name came `from`. */
export const readJson = Effect.fnUntraced(function* (
  file: string,
  from: string
): Effect.fn.Return<unknown, ConfigError, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const text = yield* fs.readFileString(file).pipe(Effect.mapError((error) => unreadable(file, from, error)))
  const parsed = Json.parse(text)
  if (Result.isSuccess(parsed)) return parsed.success
  const { column, detail, line } = parsed.failure
  return yield* new ConfigError({
    source: file,
    problems: [{ path: `line ${line}, column ${column}`, found: detail, allowed: "valid JSON" }]
  })
})

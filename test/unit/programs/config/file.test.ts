import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import * as PlatformError from "effect/PlatformError"
import { readJson } from "../../../../src/programs/config/file.ts"

const reading = (text: string | "NotFound" | "PermissionDenied") =>
  readJson("a.json", "the command line").pipe(
    Effect.provide(
      FileSystem.layerNoop({
        readFileString: (path) =>
          text === "NotFound" || text === "PermissionDenied"
            ? Effect.fail(
                PlatformError.systemError({
                  _tag: text,
                  module: "FileSystem",
                  method: "readFileString",
                  pathOrDescriptor: path
                })
              )
            : Effect.succeed(text)
      })
    )
  )

describe("readJson", () => {
  it.effect("gives the value", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* reading('\uFEFF{"server":{"port":1}}\n'), { server: { port: 1 } })
    })
  )

  it.effect("says that there is no such file, and who named it", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(reading("NotFound"))
      assert.strictEqual(error.source, "a.json")
      assert.strictEqual(error.problems[0]?.found, "no such file")
      assert.include(error.problems[0]?.hint, "the command line")
    })
  )

  it.effect("says why a file cannot be read", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(reading("PermissionDenied"))
      assert.include(error.problems[0]?.found, "PermissionDenied")
    })
  )

  it.effect("says where it is no JSON", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(reading('{\n  "server": {,}\n}'))
      assert.strictEqual(error.problems.length, 1)
      assert.strictEqual(error.problems[0]?.path, "line 2, column 14")
      assert.strictEqual(error.problems[0]?.allowed, "valid JSON")
    })
  )
})

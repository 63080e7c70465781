/** That the watch over outgoing connections sees something at all. */
import { connect } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Connections from "../support/connections.ts"
import { boot } from "../support/server.ts"

// Names under .invalid resolve nowhere (RFC 6761), so nothing really leaves.
const touch = (host: string) =>
  Effect.promise(async () => {
    connect({ host, port: 8099 })
      .on("error", () => {})
      .destroy()
    await fetch(`http://${host}:8099/`).catch(() => undefined)
  })

describe("the watch over connections", () => {
  it.live("sees other hosts by socket and by fetch, not this one, and ends with its scope", () =>
    Effect.gen(function* () {
      const server = yield* boot()
      const seen = yield* Effect.scoped(
        Effect.gen(function* () {
          const hosts = yield* Connections.outside
          yield* Effect.promise(() => fetch(`${server.url}/livez`))
          assert.deepStrictEqual(hosts, [])
          yield* touch("one.invalid")
          return hosts
        })
      )
      assert.deepStrictEqual(new Set(seen), new Set(["one.invalid"]))
      assert.strictEqual(seen.length, 2)
      yield* touch("two.invalid")
      assert.notInclude(seen, "two.invalid")
    })
  )
})

// The port's errors say what happened.
import { assert, describe, it } from "@effect/vitest"
import { TransportError } from "../../../src/services/transport.ts"
import type { TransportReason } from "../../../src/services/transport.ts"

describe("TransportError", () => {
  const cases: ReadonlyArray<[TransportReason, RegExp]> = [
    [{ _tag: "Unreachable", detail: "ENOTFOUND", refused: false }, /ENOTFOUND/],
    [{ _tag: "Timeout", phase: "connect", afterMs: 20 }, /connect within 20 ms/],
    [{ _tag: "Closed", detail: "other side" }, /closed: other side/],
    [{ _tag: "TooLarge", limitBytes: 9 }, /9 bytes/]
  ]
  it.each(cases)("%o", (reason, expected) => {
    assert.match(new TransportError({ reason }).message, expected)
  })
})

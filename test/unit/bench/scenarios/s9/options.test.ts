import { assert, describe, it } from "@effect/vitest"
import { parseOptions } from "../../../../../bench/scenarios/s9/options.ts"
import { variants } from "../../../../../bench/scenarios/s9/row.ts"

describe("the flags", () => {
  it("have defaults", () => {
    assert.deepStrictEqual(parseOptions([]), { seeds: 5, firstSeed: 1, json: false, quick: false, only: variants })
  })

  it("are read", () => {
    const argv = ["--seeds", "30", "--first-seed", "4", "--json", "--quick", "--only", "stalled, disconnect"]
    assert.deepStrictEqual(parseOptions(argv), {
      seeds: 30,
      firstSeed: 4,
      json: true,
      quick: true,
      only: ["disconnect", "stalled"]
    })
    assert.isUndefined(parseOptions(["--help"]))
  })

  it("that make no sense are refused", () => {
    for (const argv of [
      ["--seeds", "0"],
      ["--seeds", "many"],
      ["--only", "storm"],
      ["--speed", "1"]
    ]) {
      assert.throws(() => parseOptions(argv))
    }
  })
})

import { Option } from "effect"
import { assert, describe, it } from "vitest"
import * as Amounts from "../../../../src/programs/cli/amounts.ts"

describe("durations", () => {
  it.each([
    ["30d", 2_592_000_000],
    ["1w", 604_800_000],
    ["12h", 43_200_000],
    ["15m", 900_000],
    ["90s", 90_000],
    ["250ms", 250],
    ["1.5h", 5_400_000],
    [" 1d ", 86_400_000],
    ["0d", 0]
  ])("%s is %d ms", (text, ms) => assert.deepStrictEqual(Amounts.durationMs(text), Option.some(ms)))

  it.each([[""], ["30"], ["d"], ["-1d"], ["1y"], ["1 d 2 h"], ["1e3s"], ["0.0001ms"], ["99999999999999w"], ["٣d"]])(
    "'%s' is none",
    (text) => assert.isTrue(Option.isNone(Amounts.durationMs(text)))
  )
})

describe("dollars", () => {
  it.each([
    ["100", 100_000_000],
    ["$12.50", 12_500_000],
    ["0.000001", 1],
    ["0", 0],
    ["1_000", 1_000_000_000]
  ])("%s is %d micro-dollars", (text, micro) => assert.deepStrictEqual(Amounts.microDollars(text), Option.some(micro)))

  it.each([[""], ["-1"], ["1e3"], ["1.0000001"], [".5"], ["1."], ["100 USD"], ["9007199255"], ["Infinity"], ["NaN"]])(
    "'%s' is none",
    (text) => assert.isTrue(Option.isNone(Amounts.microDollars(text)))
  )

  it.each([
    [0, "$0.00"],
    [12_500_000, "$12.50"],
    [1, "$0.000001"],
    [-2_000_000, "-$2.00"],
    [1_234_567, "$1.234567"]
  ])("%d micro-dollars are shown as %s", (micro, text) => assert.strictEqual(Amounts.dollars(micro), text))
})

it("a moment is shown in UTC", () => assert.strictEqual(Amounts.moment(0), "1970-01-01 00:00:00Z"))

import { assert, describe, it } from "@effect/vitest"
import * as Result from "../../../../src/programs/demo/result.ts"
import * as Tally from "../../../../src/programs/demo/tally.ts"

const stats = {
  calls: 300,
  running: 0,
  finished: 100,
  abandoned: 0,
  refused: 0,
  failed: 0,
  promptTokens: 1_000_000,
  generatedTokens: 500_000
}
const price = { input: 2_500_000, output: 10_000_000 }

const sideOf = (asked: number, answered: number): Result.Side =>
  Result.side({ ...Tally.make().summary(), asked, answered, errors: asked - answered }, stats, price)

describe("result", () => {
  it("counts the provider's calls and bills all of its tokens", () => {
    const side = sideOf(200, 50)
    assert.strictEqual(side.attemptsPerRequest, 1.5)
    assert.strictEqual(side.costUsd, 7.5)
    assert.strictEqual(side.costPerThousandAnswersUsd, 150)
  })

  it("is a table and a sentence, with nothing answered too", () => {
    const result = { scenario: [], seed: 1, patienceMs: 1, naive: sideOf(0, 0), ballast: sideOf(200, 150) }
    const table = Result.table(result).join("\n")
    assert.include(table, "75.0 %")
    assert.notInclude(table, "NaN")
    assert.notInclude(Result.sentence(result), "NaN")
  })
})

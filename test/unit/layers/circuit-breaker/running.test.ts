import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Running } from "../../../../src/layers/circuit-breaker/running.ts"

class Call {
  before: Call | undefined = undefined
  after: Call | undefined = undefined
  running = false
}

const inOrder = (list: Running<Call>): Array<Call> => {
  const calls: Array<Call> = []
  for (let call = list.oldest; call !== undefined; call = call.after) calls.push(call)
  return calls
}

describe("Running", () => {
  it("keeps calls in the order in which they came, whichever leave", () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.nat(30)), { maxLength: 80 }), (steps) => {
        const list = new Running<Call>()
        const expected: Array<Call> = []
        for (const leaving of steps) {
          if (leaving === null || leaving >= expected.length) {
            const call = new Call()
            list.add(call)
            expected.push(call)
          } else {
            const [gone] = expected.splice(leaving, 1)
            list.remove(gone!)
            assert.deepStrictEqual({ ...gone }, { before: undefined, after: undefined, running: false })
          }
          assert.isTrue(inOrder(list).every((call, index) => call === expected[index] && call.running))
          assert.strictEqual(inOrder(list).length, expected.length)
        }
        list.clear()
        assert.isUndefined(list.oldest)
        // Nothing keeps the others alive.
        assert.isTrue(expected.every(({ after, before, running }) => !running && !after && !before))
        const call = new Call()
        list.add(call)
        assert.deepStrictEqual(inOrder(list), [call])
      })
    )
  })
})

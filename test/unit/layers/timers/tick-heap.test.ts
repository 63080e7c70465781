import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as TickHeap from "../../../../src/layers/timers/tick-heap.ts"

describe("TickHeap", () => {
  it.prop("gives back what was pushed in order", [Schema.Array(Schema.Int)], ([ticks]) => {
    const heap = TickHeap.make()
    for (const tick of ticks) TickHeap.push(heap, tick)
    const out: Array<number> = []
    while (TickHeap.peek(heap) !== Infinity) {
      out.push(TickHeap.peek(heap))
      TickHeap.pop(heap)
    }
    assert.deepStrictEqual(
      out,
      ticks.toSorted((a, b) => a - b)
    )
  })

  it("an empty heap peeks Infinity and takes a pop", () => {
    const heap = TickHeap.make()
    TickHeap.pop(heap)
    assert.strictEqual(TickHeap.peek(heap), Infinity)
    TickHeap.push(heap, 3)
    TickHeap.clear(heap)
    assert.strictEqual(TickHeap.peek(heap), Infinity)
  })
})

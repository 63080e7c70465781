import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Heap from "../../../../../src/layers/provider/sim/heap.ts"

const drain = (heap: Heap.Heap) => {
  const out: Array<Heap.Entry> = []
  for (let top = Heap.pop(heap); top !== undefined; top = Heap.pop(heap)) out.push(top)
  return out
}

describe("heap", () => {
  it("gives back what is not cancelled, in order, first come first", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 20 }), fc.boolean()), { maxLength: 300 }), (items) => {
        const heap = Heap.make()
        const entries = items.map(([at]) => Heap.entry(at, false, () => {}))
        for (const entry of entries) Heap.push(heap, entry)
        const kept = entries.filter((entry, i) => {
          if (items[i]?.[1] === true) return true
          Heap.cancel(heap, entry)
          Heap.cancel(heap, entry)
          return false
        })
        const expected = kept.toSorted((a, b) => a.at - b.at || a.order - b.order)
        assert.deepStrictEqual(
          drain(heap).map((entry) => entry.order),
          expected.map((entry) => entry.order)
        )
      })
    )
  })

  it("drops cancelled entries before they reach the top, and does not mind a cancel after a pop", () => {
    const heap = Heap.make()
    const late = Array.from({ length: 1000 }, (_, i) => Heap.entry(100 + i, false, () => {}))
    for (const entry of late) Heap.push(heap, entry)
    for (const entry of late.slice(1)) Heap.cancel(heap, entry)
    assert(heap.entries.length < 200)
    const top = Heap.pop(heap)
    assert(top !== undefined)
    Heap.cancel(heap, top)
    assert.strictEqual(Heap.peek(heap), undefined)
    assert.strictEqual(heap.cancelled, 0)
  })
})

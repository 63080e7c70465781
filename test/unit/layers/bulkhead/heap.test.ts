import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Heap, outside } from "../../../../src/layers/bulkhead/heap.ts"

interface Item {
  readonly id: number
  key: number
  place: number
}

class ByKey extends Heap<Item> {
  protected before(a: Item, b: Item): boolean {
    return a.key < b.key || (a.key === b.key && a.id < b.id)
  }
  protected placeOf(item: Item): number {
    return item.place
  }
  protected moved(item: Item, place: number): void {
    item.place = place
  }
}

const first = (items: ReadonlyArray<Item>) =>
  items.reduce<Item | undefined>(
    (best, item) =>
      best === undefined || item.key < best.key || (item.key === best.key && item.id < best.id) ? item : best,
    undefined
  )

describe("Heap", () => {
  it("behaves like a list that is searched, whatever is added, moved and taken out", () =>
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            move: fc.constantFrom("put", "put", "change", "remove", "shift"),
            pick: fc.nat(99),
            key: fc.nat(20)
          })
        ),
        (moves) => {
          const heap = new ByKey()
          const model: Array<Item> = []
          let id = 0
          for (const { key, move, pick } of moves) {
            const chosen = model[pick % Math.max(1, model.length)]
            if (move === "put") {
              const item = { id: id++, key, place: outside }
              heap.put(item)
              model.push(item)
            } else if (move === "change" && chosen !== undefined) {
              chosen.key = key
              heap.put(chosen)
            } else if (chosen !== undefined) {
              const gone = move === "shift" ? (heap.first() ?? chosen) : chosen
              heap.remove(gone)
              assert.strictEqual(gone.place, outside)
              model.splice(model.indexOf(gone), 1)
            }
            assert.strictEqual(heap.first(), first(model))
            assert.strictEqual(heap.members.length, model.length)
            for (const [place, item] of heap.members.entries()) assert.strictEqual(item.place, place)
          }
        }
      )
    ))

  it("taking out what is not in changes nothing", () => {
    const heap = new ByKey()
    const item = { id: 1, key: 1, place: outside }
    heap.remove(item)
    heap.put({ id: 2, key: 2, place: outside })
    heap.remove(item)
    assert.strictEqual(heap.members.length, 1)
  })
})

import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as WaitQueue from "../../../../src/layers/bulkhead/wait-queue.ts"

interface Item extends WaitQueue.Node<Item> {
  readonly id: number
}

const Moves = Schema.Array(
  Schema.Struct({
    move: Schema.Literals(["push", "shift", "remove"]),
    pick: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20 }))
  })
)

describe("WaitQueue", () => {
  it.prop("behaves like an array", [Moves], ([moves]) => {
    const queue = WaitQueue.make<Item>()
    const model: Array<Item> = []
    let id = 0
    for (const { move, pick } of moves) {
      if (move === "push") {
        const item: Item = { id: id++, previous: undefined, next: undefined }
        WaitQueue.push(queue, item)
        model.push(item)
      } else if (move === "shift") {
        assert.strictEqual(WaitQueue.shift(queue)?.id, model.shift()?.id)
      } else {
        const [item] = model.splice(pick % Math.max(1, model.length), 1)
        if (item !== undefined) WaitQueue.remove(queue, item)
      }
      assert.strictEqual(queue.size, model.length)
      const forward: Array<number> = []
      for (let node = queue.head; node !== undefined; node = node.next) forward.push(node.id)
      const backward: Array<number> = []
      for (let node = queue.tail; node !== undefined; node = node.previous) backward.unshift(node.id)
      const ids = model.map((item) => item.id)
      assert.deepStrictEqual(forward, ids)
      assert.deepStrictEqual(backward, ids)
    }
  })
})

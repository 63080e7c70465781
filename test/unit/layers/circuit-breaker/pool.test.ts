import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { defaults } from "../../../../src/domain/policy.ts"
import { Cell } from "../../../../src/layers/circuit-breaker/cell.ts"
import { Pools } from "../../../../src/layers/circuit-breaker/pool.ts"

const policy = { ...defaults.breaker, minimumCalls: 2, slowMs: 100, openMs: 1_000, maxOpenMs: 8_000 }

/** Breakers of these keys, as the layer has them. */
const make = (keys: ReadonlyArray<string>, pools?: ReadonlyArray<ReadonlyArray<string>>) => {
  const clock = { now: 0 }
  const cells = new Map<string, { readonly cell: Cell }>()
  const all = new Pools(policy, cells, pools)
  const transitions: Array<string> = []
  for (const key of keys) {
    const cell = new Cell(key, {
      policy,
      now: () => clock.now,
      random: () => 0.5,
      mayOpen: (one, at, cause) => all.mayOpen(one, at, cause),
      changed: ({ reason, to }) => transitions.push(`${key} ${to}: ${reason}`)
    })
    cells.set(key, { cell })
  }
  const cellOf = (key: string) => cells.get(key)?.cell ?? assert.fail(key)
  const call = (key: string, ms: number) => {
    const lease = cellOf(key).admit(clock.now)
    if (ms < 0) lease?.fail()
    else lease?.succeed(ms)
    return lease !== undefined
  }
  return { clock, cellOf, call, transitions }
}

const fail = -1
const slow = 101

describe("Pools", () => {
  it("a model's candidates are a pool: what else there is plays no part", () => {
    const { call, cellOf } = make(["a", "b", "c", "d"], [["a", "b"], ["c"], ["d"]])
    for (let i = 0; i < 2; i++) for (const key of ["a", "b", "c", "d"]) call(key, fail)
    assert.strictEqual(cellOf("a").state, "open")
    assert.strictEqual(cellOf("b").state, "half-open")
    assert.strictEqual(cellOf("c").state, "open")
    assert.strictEqual(cellOf("d").state, "open")
  })

  it("a candidate that was never asked for can stand in", () => {
    const { call, cellOf } = make(["a", "b"], [["a", "b"]])
    for (let i = 0; i < 2; i++) call("a", slow)
    assert.strictEqual(cellOf("a").state, "open")
  })

  it("slowness is no reason to refuse the only candidate; failures are", () => {
    for (const pools of [[["a"]], [["b", "c"]], []]) {
      const { call, cellOf } = make(["a", "b", "c"], pools)
      for (let i = 0; i < 20; i++) {
        call("a", slow)
        call("b", 1)
      }
      assert.strictEqual(cellOf("a").state, "closed")
      for (let i = 0; i < 20; i++) call("a", fail)
      assert.strictEqual(cellOf("a").state, "open")
    }
  })

  it("a candidate of several models leaves each of them another", () => {
    const { call, cellOf } = make(
      ["a", "b", "c"],
      [
        ["a", "b"],
        ["a", "c"]
      ]
    )
    for (let i = 0; i < 2; i++) call("b", fail)
    assert.strictEqual(cellOf("b").state, "open")
    // It is the last one of the first model, though the second has another.
    for (let i = 0; i < 2; i++) call("a", fail)
    assert.strictEqual(cellOf("a").state, "half-open")
    for (let i = 0; i < 2; i++) call("c", fail)
    assert.strictEqual(cellOf("c").state, "open")
  })

  it("a clock that is set back does not keep it open for longer", () => {
    const { call, cellOf, clock } = make(["a"])
    clock.now = 1_000_000
    for (let i = 0; i < 2; i++) call("a", fail)
    assert.strictEqual(cellOf("a").state, "open")
    clock.now = 500_000
    assert.isTrue(call("a", 1))
    assert.strictEqual(cellOf("a").state, "half-open")
  })

  const keys = ["a", "b", "c", "d", "e"]
  const step = fc.record({
    key: fc.constantFrom(...keys),
    ms: fc.constantFrom(fail, fail, slow, 1),
    afterMs: fc.constantFrom(0, 0, 10, 200, 1_500)
  })

  it("never are all of a pool open, nor more than its share, whatever happens", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200, size: "max" }), fc.boolean(), (steps, told) => {
        const { call, cellOf, clock } = make(keys, told ? [keys] : undefined)
        for (const key of keys) call(key, 1)
        for (const { afterMs, key, ms } of steps) {
          clock.now += afterMs
          call(key, ms)
          // All are in use: asked for within the last minute.
          for (const one of keys) cellOf(one).usedAt = clock.now
          assert.isAtMost(keys.filter((one) => cellOf(one).state === "open").length, 3)
        }
      })
    )
  })

  it("however bad everything is, somebody gets through within every two seconds", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200, size: "max" }), (steps) => {
        const { call, clock } = make(keys, [keys])
        for (const { key } of steps) call(key, fail)
        for (let second = 0; second < 20; second++) {
          clock.now += 2_000
          assert.isTrue(keys.map((key) => call(key, fail)).some((through) => through))
        }
      })
    )
  })
})

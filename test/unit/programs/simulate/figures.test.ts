import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Figures from "../../../../src/programs/simulate/figures.ts"

/** Seconds with ten visits each, and so many of them good. */
const seconds = (...good: ReadonlyArray<number>) => good.map((each) => ({ offered: 10, good: each }))
const times = (count: number, good: number) => Array.from({ length: count }, () => good)

const trigger = { fromS: 20, toS: 30 }

describe("share", () => {
  it("is of those offered in the span, and nothing where nobody came", () => {
    const some = seconds(10, 5, 0, 10)
    assert.strictEqual(Figures.share(some, { fromS: 1, toS: 3 }), 0.25)
    assert.strictEqual(Figures.share(some, { fromS: -5, toS: 99 }), 0.625)
    assert.isUndefined(Figures.share(some, { fromS: 4, toS: 9 }))
    assert.isUndefined(Figures.share([{ offered: 0, good: 0 }], { fromS: 0, toS: 1 }))
  })
})

describe("before", () => {
  it("leaves out the start, and those who met the trigger with their patience", () => {
    assert.deepStrictEqual(Figures.before({ fromS: 60, toS: 70 }, 5), { fromS: 6, toS: 55 })
    assert.deepStrictEqual(Figures.before({ fromS: 600, toS: 700 }, 10), { fromS: 10, toS: 590 })
    assert.deepStrictEqual(Figures.before({ fromS: 4, toS: 9 }, 10), { fromS: 0, toS: 1 })
  })
})

describe("recoveryS", () => {
  const recovery = (...good: ReadonlyArray<number>) => Figures.recoveryS(seconds(...good), trigger, 2)

  it("is when the last five seconds are back to 95 % of what was usual", () => {
    // Bad for 3 s after the trigger: the window is clean of it 8 s after.
    assert.strictEqual(recovery(...times(20, 10), ...times(13, 0), ...times(40, 10)), 8)
    assert.strictEqual(recovery(...times(20, 10), ...times(10, 0), ...times(40, 10)), 5)
  })

  it("is nothing where the trigger did nothing", () => {
    assert.strictEqual(recovery(...times(70, 10)), 0)
  })

  it("measures against what was usual, not against perfection", () => {
    assert.strictEqual(recovery(...times(20, 5), ...times(13, 0), ...times(40, 5)), 8)
  })

  it("never comes where goodput stays down, or comes back too low", () => {
    assert.isNull(recovery(...times(20, 10), ...times(50, 0)))
    assert.isNull(recovery(...times(20, 10), ...times(10, 0), ...times(40, 9)))
  })

  it("does not take a lull before a late dip for a recovery", () => {
    assert.strictEqual(recovery(...times(30, 10), ...times(8, 10), ...times(6, 0), ...times(40, 10)), 19)
  })

  it("may come with the last second", () => {
    assert.strictEqual(recovery(...times(20, 10), ...times(10, 0), ...times(5, 10)), 5)
    assert.isNull(recovery(...times(20, 10), ...times(10, 0), ...times(4, 10)))
  })
})

describe("goodputRatio", () => {
  it("is of the last minute over before the trigger, per visit offered", () => {
    const busier = [...seconds(...times(40, 8)), ...Array.from({ length: 60 }, () => ({ offered: 20, good: 8 }))]
    assert.strictEqual(Figures.goodputRatio(busier, trigger, 2), 0.5)
    assert.isNull(Figures.goodputRatio(seconds(...times(100, 0)), trigger, 2))
  })

  it("never looks at the trigger itself", () => {
    assert.strictEqual(
      Figures.goodputRatio(seconds(...times(20, 10), ...times(10, 0), ...times(10, 10)), trigger, 2),
      1
    )
  })
})

describe("jain", () => {
  it("is 1 for equals, 1/n for one who has it all, 1 for nobody", () => {
    assert.strictEqual(Figures.jain([3, 3, 3]), 1)
    assert.strictEqual(Figures.jain([0, 0, 5, 0]), 0.25)
    assert.strictEqual(Figures.jain([]), 1)
    assert.strictEqual(Figures.jain([0, 0]), 1)
  })

  it("lies between 1/n and 1, whatever the unit", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.001, max: 1e6, noNaN: true }), { minLength: 1 }), (values) => {
        const index = Figures.jain(values)
        assert.isAtMost(index, 1 + 1e-9)
        assert.isAtLeast(index, 1 / values.length - 1e-9)
        assert.closeTo(Figures.jain(values.map((value) => value * 7)), index, 1e-9)
      })
    )
  })
})

describe("maxMin", () => {
  it("gives the small all they want and divides the rest", () => {
    assert.deepStrictEqual(Figures.maxMin([10, 2, 100], 30), [10, 2, 18])
    assert.deepStrictEqual(Figures.maxMin([10, 2, 100], 15), [6.5, 2, 6.5])
    assert.deepStrictEqual(Figures.maxMin([1, 2], 10), [1, 2])
    assert.deepStrictEqual(Figures.maxMin([5, 5], 0), [0, 0])
  })

  it("gives away all that is wanted, never more, and nobody can be given more without taking from someone who has no more", () => {
    const demands = fc.array(fc.double({ min: 0, max: 1_000, noNaN: true }), { minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(demands, fc.double({ min: 0, max: 5_000, noNaN: true }), (wants, capacity) => {
        const shares = Figures.maxMin(wants, capacity)
        const sum = (values: ReadonlyArray<number>) => values.reduce((total, value) => total + value, 0)
        assert.closeTo(sum(shares), Math.min(capacity, sum(wants)), 1e-6)
        const most = Math.max(...shares)
        for (const [index, share] of shares.entries()) {
          assert.isAtMost(share, (wants[index] ?? 0) + 1e-9)
          if (share < (wants[index] ?? 0) - 1e-9) assert.closeTo(share, most, 1e-6)
        }
      })
    )
  })
})

describe("fairness", () => {
  it("judges the dividing by the fair shares, not by equal ones", () => {
    const fair = [
      { wanted: 2, got: 2 },
      { wanted: 100, got: 28 }
    ]
    assert.strictEqual(Figures.fairness(fair), 1)
    assert.isBelow(
      Figures.fairness([
        { wanted: 20, got: 1 },
        { wanted: 100, got: 29 }
      ]),
      0.8
    )
  })

  it("takes no account of those who wanted nothing", () => {
    assert.strictEqual(
      Figures.fairness([
        { wanted: 0, got: 0 },
        { wanted: 5, got: 5 }
      ]),
      1
    )
    assert.strictEqual(Figures.fairness([]), 1)
  })

  it("can be measured against what there was", () => {
    assert.strictEqual(
      Figures.fairness(
        [
          { wanted: 10, got: 5 },
          { wanted: 10, got: 5 }
        ],
        20
      ),
      1
    )
    assert.isBelow(
      Figures.fairness(
        [
          { wanted: 10, got: 10 },
          { wanted: 10, got: 2 }
        ],
        20
      ),
      0.75
    )
  })
})

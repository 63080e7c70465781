import { assert, describe, it } from "@effect/vitest"
import * as History from "../../../../bench/support/history.ts"
import type { Attempt, Charge, Holding } from "../../../../bench/support/history.ts"

let fences = 0
const holding = (process: string, fromMs: number, toMs: number, rest: Partial<Holding> = {}): Holding => ({
  process,
  fence: ++fences,
  askedMs: fromMs - 1,
  fromMs,
  toMs,
  end: toMs === Infinity ? "open" : "released",
  seenMs: [],
  ...rest
})

const charge = (askedMs: number, rest: Partial<Charge>): Charge => ({
  id: `r${askedMs}`,
  process: "a",
  askedMs,
  answeredMs: askedMs + 10,
  answer: "admitted",
  estimate: 100,
  cost: 60,
  settledMs: Infinity,
  ...rest
})

describe("permits held", () => {
  it("counts what overlaps, and not what follows at the same moment", () => {
    const held = [holding("a", 0, 10), holding("b", 5, 15), holding("c", 10, 20)]
    assert.strictEqual(History.permitsOverLimit(held, [], 2), 0)
    assert.strictEqual(History.permitsOverLimit(held, [], 1), 1)
    assert.strictEqual(History.permitsOverLimit([...held, holding("d", 12, 13)], [], 2), 1)
  })

  it("a killed process holds nothing from its death on", () => {
    const killed = [{ process: "a", fromMs: 10, toMs: Infinity }]
    const held = [holding("a", 0, Infinity), holding("b", 30, 40)]
    assert.strictEqual(History.permitsOverLimit(held, [], 1), 1)
    assert.strictEqual(History.permitsOverLimit(held, killed, 1), 0)
    assert.strictEqual(History.permitsOverLimit([...held, holding("b", 9, 12)], killed, 1), 1)
  })

  it("a paused process that finds its permit lost has not used it meanwhile", () => {
    const paused = [{ process: "a", fromMs: 10, toMs: 50 }]
    const lost = holding("a", 0, 52, { end: "lost" })
    const other = holding("b", 30, 60)
    assert.strictEqual(History.permitsOverLimit([lost, other], paused, 1), 0)
    // It looked, and thought that it still had it.
    assert.strictEqual(History.permitsOverLimit([{ ...lost, seenMs: [51] }, other], paused, 1), 1)
    // It gave it back as the first thing it did.
    assert.strictEqual(History.permitsOverLimit([holding("a", 0, 50), other], paused, 1), 0)
    // It went on as if nothing had been.
    assert.strictEqual(History.permitsOverLimit([holding("a", 0, 70), other], paused, 1), 1)
    // The same, where permits do not live for so long: another may have had it meanwhile, but not afterwards.
    const lapsed = paused.map((absence) => ({ ...absence, lapses: true }))
    const again = holding("a", 0, 70, { seenMs: [51] })
    assert.strictEqual(History.permitsOverLimit([again, holding("b", 30, 50)], lapsed, 1), 0)
    assert.strictEqual(History.permitsOverLimit([again, other], lapsed, 1), 1)
  })

  it("means are over time", () => {
    const steps = History.permitsInUse([holding("a", 0, 10), holding("b", 5, 10)], [])
    assert.strictEqual(History.meanIn(steps, { fromMs: 0, toMs: 10 }), 1.5)
    assert.strictEqual(History.meanIn(steps, { fromMs: 5, toMs: 15 }), 1)
    assert.strictEqual(History.mostIn(steps, { fromMs: 6, toMs: 7 }), 2)
    assert.strictEqual(History.mostIn(steps, { fromMs: 11, toMs: 12 }), 0)
  })

  it("fences must grow from each permit to those that are asked for later", () => {
    const first = holding("a", 10, 20, { fence: 5 })
    assert.strictEqual(History.fenceViolations([first, holding("b", 30, 40, { fence: 6 })]), 0)
    assert.strictEqual(History.fenceViolations([first, holding("b", 30, 40, { fence: 5 })]), 1)
    // Asked for at the same time: either order is right.
    assert.strictEqual(History.fenceViolations([first, holding("b", 11, 40, { fence: 4, askedMs: 9 })]), 0)
  })
})

describe("money", () => {
  it("overshoot is what was really spent, calls of killed processes included", () => {
    const charges = [charge(0, { cost: 60 }), charge(1, { cost: 50, settledMs: 90 }), charge(2, { answer: "refused" })]
    assert.strictEqual(History.overshoot(charges, 110), 0)
    assert.approximately(History.overshoot(charges, 100), 0.1, 1e-9)
  })

  it("a refusal is false only where the request fitted all the time", () => {
    const refused = charge(50, { answer: "refused", cost: 0 })
    const settled = charge(0, { settledMs: 40 })
    assert.lengthOf(History.falseRefusals([settled, refused], 160), 1)
    assert.lengthOf(History.falseRefusals([settled, refused], 159), 0)
    // The store has not been told yet.
    assert.lengthOf(History.falseRefusals([settled, refused], 160, 20), 0)
    // Settled only while it was asked for: either order is right.
    assert.lengthOf(History.falseRefusals([charge(0, { settledMs: 55 }), refused], 160), 0)
    // Reserved by somebody whose answer never came.
    assert.lengthOf(History.falseRefusals([charge(0, { answer: "none", answeredMs: Infinity }), refused], 160), 0)
    // Not known to the asker whether it was taken; by then it has to be back.
    assert.lengthOf(History.falseRefusals([charge(0, { answer: "unavailable" }), refused], 160), 1)
    assert.lengthOf(History.falseRefusals([charge(45, { answer: "unavailable" }), refused], 160), 0)
  })

  it("books hold everything once", () => {
    assert.deepStrictEqual(History.bookkeeping(["a", "b"], ["a", "b"]), { missing: [], twice: [] })
    assert.deepStrictEqual(History.bookkeeping(["a", "b"], ["a", "a", "c"]), { missing: ["b"], twice: ["a"] })
  })
})

describe("Retry-After", () => {
  const attempt = (key: string, atMs: number, retryAfterMs?: number): Attempt => ({
    key,
    atMs,
    answeredMs: atMs + 1,
    retryAfterMs
  })

  it("finds the attempt that comes too early, and no other", () => {
    const told = attempt("a", 0, 100)
    assert.deepStrictEqual(History.earlyAttempts([told, attempt("a", 101), attempt("b", 50)]), [])
    assert.deepStrictEqual(
      History.earlyAttempts([told, attempt("a", 100)]).map(({ atMs }) => atMs),
      [100]
    )
    // Sent before the answer was there.
    assert.deepStrictEqual(History.earlyAttempts([told, attempt("a", 0.5)]), [])
    // A later, shorter answer does not take back the first.
    assert.lengthOf(History.earlyAttempts([told, attempt("a", 0.5, 10), attempt("a", 60)]), 1)
  })
})

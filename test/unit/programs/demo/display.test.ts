import { stripVTControlCharacters } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Display from "../../../../src/programs/demo/display.ts"
import * as Scenario from "../../../../src/programs/demo/scenario.ts"
import * as Tally from "../../../../src/programs/demo/tally.ts"

const scenario = Scenario.make({ requests: 40, seed: 1, fast: false })

const written = (tty: boolean) =>
  Effect.gen(function* () {
    const texts: Array<string> = []
    const view: Display.View = { name: "Ballast", live: Tally.make().live, providerCalls: Effect.succeed(3) }
    const screen = { tty, columns: 60, write: (text: string) => Effect.sync(() => void texts.push(text)) }
    const fiber = yield* Effect.forkChild(Display.run(scenario, [view], screen), { startImmediately: true })
    yield* TestClock.adjust("10 seconds")
    yield* Fiber.interrupt(fiber)
    return texts
  })

describe("display", () => {
  it.effect("draws over itself in a terminal, in one write a time, and gives the cursor back", () =>
    Effect.gen(function* () {
      const texts = yield* written(true)
      assert.strictEqual(texts[0], "\u001B[?25l")
      assert.strictEqual(texts.at(-1), "\u001B[?25h")
      assert.isTrue(texts.slice(2, -1).every((text) => text.startsWith("\u001B[2A")))
      // No line is wider than the terminal: a wrapped one could not be drawn over.
      for (const text of texts.slice(1, -1)) {
        for (const line of stripVTControlCharacters(text).split("\n")) assert.isBelow(line.length, 60)
      }
    })
  )

  it.effect("writes plain lines elsewhere", () =>
    Effect.gen(function* () {
      const texts = yield* written(false)
      assert.isAtLeast(texts.length, 3)
      assert.notInclude(texts.join(""), "\u001B")
    })
  )

  it("a bar is never wider than its place", () => {
    const live = { asked: 4, waiting: 1, answered: 1, refused: 1, errors: 1 }
    assert.strictEqual(Display.sideLine("a", live, 1, 4).length, Display.sideLine("a", live, 1, 1_000).length)
  })
})

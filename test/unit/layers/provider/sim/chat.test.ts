import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Chat from "../../../../../src/layers/provider/sim/chat.ts"
import * as Engine from "../../../../../src/layers/provider/sim/engine.ts"
import { chat, within } from "./drive.ts"

const instant = { ttft: { medianMs: 0 }, perToken: { medianMs: 0 } }
const content = (engine: Engine.Engine, body: ReturnType<typeof chat>) =>
  within(
    10,
    Effect.scoped(
      Effect.flatMap(Chat.begin(engine, "m", body, false), ({ whole }) =>
        Effect.map(whole, ({ completion }) => String(completion.choices[0]?.message["content"]))
      )
    )
  )

describe("chat", () => {
  it.effect("same seed and prompt, same text, whatever came before; another seed or prompt, another text", () =>
    Effect.gen(function* () {
      const engine = yield* Engine.make(instant)
      const text = yield* content(engine, chat())
      assert.notStrictEqual(yield* content(engine, chat({ messages: [{ role: "user", content: "Else?" }] })), text)
      assert.strictEqual(yield* content(engine, chat()), text)
      assert.notStrictEqual(yield* content(yield* Engine.make({ ...instant, seed: 2 }), chat()), text)
      assert.match(text, /\.$/)
    })
  )

  it.effect("draws lengths around the configured median", () =>
    Effect.gen(function* () {
      const engine = yield* Engine.make({ ...instant, outputTokens: { median: 40, sigma: 0.5 } })
      const lengths: Array<number> = []
      for (let i = 0; i < 500; i++) {
        const text = yield* content(engine, chat({ messages: [{ role: "user", content: `question ${i}` }] }))
        lengths.push(text.split(" ").length)
      }
      assert.closeTo(lengths.toSorted((a, b) => a - b)[250] ?? 0, 40, 4)
    })
  )
})

import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { countTokens } from "gpt-tokenizer/encoding/o200k_base"
import * as TextSize from "../../../../src/layers/token-counter/text-size.ts"

const texts: Record<string, string> = {
  english: "Customers keep asking about their invoices, and the answer has to come before they lose patience. ".repeat(
    9
  ),
  german: "Die Rechnung wurde geprüft, aber der Kunde möchte trotzdem eine ausführliche Erklärung erhalten. ".repeat(9),
  code: "export const within = (now: number, budget: number): Deadline => ({ atMs: now + budget, budget })\n".repeat(9),
  chinese: "越来越多的公司开始使用大型语言模型来回答客户的问题，并且希望系统在高负载下依然稳定。".repeat(9),
  japanese: "多くの企業が大規模言語モデルを使って顧客の質問に答えています。".repeat(9),
  korean: "많은 기업들이 고객의 질문에 답하기 위해 언어 모델을 사용합니다. ".repeat(9),
  russian: "Всё больше компаний используют языковые модели, чтобы отвечать на вопросы клиентов. ".repeat(9),
  hindi: "कंपनियाँ ग्राहकों के प्रश्नों का उत्तर देने के लिए भाषा मॉडल का उपयोग करती हैं। ".repeat(9),
  emoji: "😀🎉🚀👍💡".repeat(20)
}

describe("TextSize", () => {
  for (const [language, text] of Object.entries(texts)) {
    it(`is within a factor of two for ${language}`, () => {
      const ratio = TextSize.ofText(text) / countTokens(text)
      assert.isAtLeast(ratio, 0.5)
      assert.isAtMost(ratio, 2)
    })
  }

  it("sees the script of a long text that changes in the middle", () => {
    const half = TextSize.ofText("a".repeat(10_000) + "的".repeat(10_000))
    assert.approximately(half, 10_000 * 0.25 + 10_000 * 0.65, 500)
  })

  it.prop("is finite, positive and bounded by the length", [Schema.String], ([text]) => {
    const size = TextSize.ofText(text)
    assert.isAtMost(size, text.length)
    assert.isAtLeast(size, text.length * 0.25)
  })

  it("takes any JSON value, however deep", () => {
    let deep: unknown = "x"
    for (let i = 0; i < 100_000; i++) deep = [deep]
    assert.isTrue(Number.isFinite(TextSize.ofJson(deep)))
    for (const value of [null, true, 1, "text", undefined]) assert.isAbove(TextSize.ofJson(value), 0)
    const tool = { type: "function", function: { name: "weather", parameters: { type: "object", properties: {} } } }
    const ratio = TextSize.ofJson(tool) / countTokens(JSON.stringify(tool))
    assert.isAtLeast(ratio, 0.5)
    assert.isAtMost(ratio, 2)
  })
})

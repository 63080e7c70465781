import { assert, describe, it } from "vitest"
import * as Brownout from "../../../../src/domain/brownout.ts"
import * as Caller from "../../../../src/domain/caller.ts"
import type { Model } from "../../../../src/domain/catalog.ts"
import * as BrownoutConfig from "../../../../src/layers/brownout/config.ts"

const model = (alias: string, smaller?: string): Model => ({
  alias,
  kind: "chat",
  candidates: [{ provider: "p", model: alias }],
  price: { input: 0, output: 0 },
  contextTokens: 100,
  maxOutputTokens: 10,
  ...(smaller === undefined ? {} : { smaller })
})
const large = model("large", "small")
const small = model("small")
const caller = Caller.make("acme", { feature: "chat" })

describe("smaller", () => {
  const service = BrownoutConfig.make(Brownout.defaults, [large, small])
  it("is the model of that alias", () => assert.strictEqual(service.smaller(large, caller), small))
  it("is nothing where none is named", () => assert.isUndefined(service.smaller(small, caller)))
  it("is nothing where the name is unknown: an embedded program may write a configuration by hand", () =>
    assert.isUndefined(service.smaller(model("odd", "gone"), caller)))
})

describe("partial", () => {
  const of = (partial: boolean, features: Parameters<typeof BrownoutConfig.make>[2]) =>
    BrownoutConfig.make({ ...Brownout.defaults, partial }, [], features).partial(caller)

  it("is the policy's", () => {
    assert.isFalse(of(false, {}))
    assert.isTrue(of(true, { other: { partial: false } }))
  })
  it("is the feature's own where it has a word", () => {
    assert.isTrue(of(false, { chat: { partial: true } }))
    assert.isFalse(of(true, { chat: { partial: false } }))
    assert.isTrue(of(true, { chat: {} }))
  })
})

describe("shorter and refusal", () => {
  it("are the policy's", () => {
    const policy = {
      partial: false,
      shorter: { maxTokens: 64, above: 1, critical: false },
      refusal: { message: "Busy." }
    }
    const { refusal, shorter } = BrownoutConfig.make(policy, [])
    assert.deepStrictEqual([shorter, refusal], [policy.shorter, policy.refusal])
    assert.isUndefined(BrownoutConfig.make(Brownout.defaults, []).shorter)
  })
})

import { assert, describe, it } from "vitest"
import { propose } from "../../../../src/programs/budgets/propose.ts"
import type { Usage } from "../../../../src/programs/budgets/propose.ts"

const usage = (rest: Partial<Usage>): Usage => ({
  plan: "standard",
  days: [
    { microUsd: 10_000_000, tokens: 1 },
    { microUsd: 30_000_000, tokens: 1 }
  ],
  periodDays: 10,
  factor: 1.5,
  premiumFactor: 4,
  ...rest
})

describe("proposed caps", () => {
  it("leave room above the busiest day, and above the time scaled to a month", () => {
    assert.deepStrictEqual(propose(usage({})), { day: { microUsd: 45_000_000 }, month: { microUsd: 180_000_000 } })
  })

  it("leave a premium tenant its plan's factor more", () => {
    assert.deepStrictEqual(propose(usage({ plan: "premium" })), {
      day: { microUsd: 180_000_000 },
      month: { microUsd: 720_000_000 }
    })
  })

  it("are a dollar a day at least, and a month's is no less than a day's", () => {
    const days = [{ microUsd: 3, tokens: 1 }]
    assert.deepStrictEqual(propose(usage({ days })), { day: { microUsd: 1_000_000 }, month: { microUsd: 1_000_000 } })
    const one = [{ microUsd: 300_000_000, tokens: 1 }]
    assert.deepStrictEqual(propose(usage({ days: one, periodDays: 365 }))?.month, { microUsd: 450_000_000 })
  })

  it("are whole and safe numbers", () => {
    assert.deepStrictEqual(propose(usage({ days: [{ microUsd: 1_000_001, tokens: 1 }], factor: 1.1 }))?.day, {
      microUsd: 1_100_002
    })
    const huge = propose(usage({ days: [{ microUsd: Number.MAX_SAFE_INTEGER, tokens: 1 }] }))
    assert.deepStrictEqual(huge?.day, { microUsd: Number.MAX_SAFE_INTEGER })
  })

  it("of a tenant that spent nothing are none: nothing is not zero", () => {
    assert.isUndefined(propose(usage({ days: [] })))
    assert.isUndefined(propose(usage({ days: [{ microUsd: 0, tokens: 5 }] })))
    assert.isUndefined(propose(usage({ days: [{ microUsd: -5, tokens: 0 }] })))
  })
})

import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TenantId } from "../../../../src/domain/caller.ts"
import type { LedgerEntry } from "../../../../src/domain/ledger.ts"
import * as CostsPostgres from "../../../../src/layers/costs/postgres.ts"
import * as LedgerPostgres from "../../../../src/layers/ledger/postgres.ts"
import { Costs } from "../../../../src/services/costs.ts"
import { Ledger } from "../../../../src/services/ledger.ts"
import * as Tables from "../../../support/fleet-tables.ts"

const dayMs = 86_400_000

const entry = (id: string, rest: Partial<LedgerEntry> = {}): LedgerEntry => ({
  id,
  kind: "settled",
  atMs: Date.now(),
  tenant: TenantId.make("acme"),
  user: "ann",
  feature: "chat",
  model: "small",
  provider: "up",
  promptVersion: null,
  inputTokens: 10,
  outputTokens: 5,
  microUsd: 100,
  outcome: "ok",
  ...rest
})

const other = TenantId.make("other'; DROP TABLE audit; --")

for (const [name, layer] of [
  ["postgres", Tables.server],
  ["PGlite", Tables.pglite]
] as const) {
  describe(`Costs: ${name}`, { timeout: 60_000 }, () => {
    it.live("are summed by what is asked for, dearest first, corrections included, within the days alone", () =>
      Effect.gen(function* () {
        const ledger = yield* Ledger
        const costs = yield* Costs
        assert.deepStrictEqual(yield* costs.by(["tenant"], 30), [])
        yield* ledger.write([
          entry("1"),
          entry("2", { kind: "expired", microUsd: 500 }),
          entry("2", { kind: "corrected", microUsd: -200, inputTokens: 0, outputTokens: 0 }),
          entry("3", { tenant: other, user: null, model: "large", microUsd: 1_000, promptVersion: "greeting@1.2.0" }),
          entry("4", { atMs: Date.now() - 40 * dayMs, microUsd: 9_999 })
        ])
        assert.deepStrictEqual(yield* costs.by(["tenant", "user"], 30), [
          { of: [other, null], requests: 1, inputTokens: 10, outputTokens: 5, microUsd: 1_000 },
          { of: ["acme", "ann"], requests: 2, inputTokens: 20, outputTokens: 10, microUsd: 400 }
        ])
        const of = (rows: ReadonlyArray<{ readonly of: ReadonlyArray<string | null> }>) => rows.map((row) => row.of)
        assert.deepStrictEqual(of(yield* costs.by(["model", "prompt"], 30)), [
          ["large", "greeting@1.2.0"],
          ["small", null]
        ])
        assert.deepStrictEqual(of(yield* costs.by(["feature"], 30, other)), [["chat"]])
        assert.deepStrictEqual(yield* costs.by(["day"], 30, TenantId.make("nobody")), [])
        const [days] = yield* costs.by(["day"], 1, TenantId.make("acme"))
        assert.match(days?.of[0] ?? "", /^\d{4}-\d\d-\d\d$/u)
        assert.strictEqual((yield* costs.by([], 60))[0]?.microUsd, 11_399)
      }).pipe(
        Effect.provide(Layer.mergeAll(CostsPostgres.layer, LedgerPostgres.layer()).pipe(Layer.provideMerge(layer)))
      )
    )
  })
}

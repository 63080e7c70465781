import { assert, it } from "@effect/vitest"
import { TenantId } from "../../../../src/domain/caller.ts"
import { idOf } from "../../../../src/layers/idempotency/keys.ts"

it("a key's name is of one length, always the same, and no other pair's", () => {
  const pairs: ReadonlyArray<readonly [string, string]> = [
    ["a", "bc"],
    ["ab", "c"],
    ["a", "b"],
    ["1:a", "b"],
    ["a", "1:b"],
    ["é", "x"],
    ["e", "\u0301x"],
    ["t".repeat(1_000), "k".repeat(255)]
  ]
  const ids = pairs.map(([tenant, key]) => idOf(TenantId.make(tenant), key))
  assert.strictEqual(new Set(ids).size, pairs.length)
  for (const id of ids) assert.match(id, /^[\w-]{43}$/)
  assert.strictEqual(idOf(TenantId.make("a"), "bc"), ids[0])
})

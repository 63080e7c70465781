import { assert, describe, it } from "@effect/vitest"
import { crc32 } from "node:zlib"
import * as fc from "fast-check"
import * as ApiKey from "../../../src/domain/api-key.ts"

const bytes = fc.uint8Array({ minLength: ApiKey.randomBytes, maxLength: ApiKey.randomBytes })

describe("a key", () => {
  it("has a fixed shape, its id in front, and 160 bits of secret", () => {
    const { id, key } = ApiKey.format(new Uint8Array(ApiKey.randomBytes).map((_, i) => i))
    assert.strictEqual(key, "blst_0123456789ab_cdefghjkmnpqrstvwxyz0123456789ab" + key.slice(-7))
    assert.strictEqual(id, "0123456789ab")
    assert.strictEqual(key.length, 5 + 12 + 1 + 32 + 7)
    assert.isTrue(ApiKey.isId(id))
    for (const not of ["", "0123456789a", "0123456789abc", "0123456789aB", "0123456789al"]) {
      assert.isFalse(ApiKey.isId(not), not)
    }
  })

  it("ends with the CRC-32 of zlib", () => {
    const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    const { key } = ApiKey.format(new Uint8Array(ApiKey.randomBytes))
    assert.strictEqual(key.slice(0, -7), `blst_${"0".repeat(12)}_${"0".repeat(32)}`)
    const value = Array.from(key.slice(-7)).reduce((sum, letter) => sum * 32 + alphabet.indexOf(letter), 0)
    assert.strictEqual(value, crc32(key.slice(0, -7)))
  })

  it("is well formed, and no other text one letter, one cut or one swap away is", () => {
    fc.assert(
      fc.property(bytes, fc.nat(56), fc.constantFrom(..."0aZ_ -é"), (random, at, letter) => {
        const { id, key } = ApiKey.format(random)
        assert.isTrue(ApiKey.isWellFormed(key))
        assert.strictEqual(ApiKey.idOf(key), id)
        const changed = key.slice(0, at) + letter + key.slice(at + 1)
        assert.strictEqual(ApiKey.isWellFormed(changed), changed === key)
        const swapped =
          key.slice(0, at) +
          key
            .slice(at, at + 2)
            .split("")
            .toReversed()
            .join("") +
          key.slice(at + 2)
        assert.strictEqual(ApiKey.isWellFormed(swapped), swapped === key)
        assert.isFalse(ApiKey.isWellFormed(key.slice(0, at)))
        assert.isFalse(ApiKey.isWellFormed(key + letter))
        assert.isFalse(ApiKey.isWellFormed(`${key}\n`))
      })
    )
  })

  it("the id of anything else is empty, or the text in its place", () => {
    for (const not of ["", "sk-1", "blst_", "x".repeat(57), "blst_0123456789ab"])
      assert.strictEqual(ApiKey.idOf(not), "")
  })
})

import { assert, describe, it } from "@effect/vitest"
import { defaults } from "../../../../src/domain/policy.ts"
import { Cell } from "../../../../src/layers/circuit-breaker/cell.ts"
import type { Lease } from "../../../../src/layers/circuit-breaker/lease.ts"

const policy = { ...defaults.breaker, minimumCalls: 4, slowMs: 1_000, slowGapMs: 500, probes: 2 }

/** A cell under a clock that stands where it is put, and leases of it. */
const make = () => {
  const clock = { now: 0 }
  const cell = new Cell("one", {
    policy,
    now: () => clock.now,
    random: () => 0.5,
    mayOpen: () => true,
    changed: () => {}
  })
  const admit = (): Lease => cell.admit(clock.now) ?? assert.fail(`refused while ${cell.state}`)
  const fail = (count: number) => {
    for (let i = 0; i < count; i++) admit().fail()
  }
  return { clock, cell, admit, fail }
}

describe("Lease", () => {
  it("leaves once: a second begin changes neither the time nor the kind", () => {
    const { admit, cell, clock } = make()
    const lease = admit()
    assert.isTrue(lease.begin(false))
    clock.now = 500
    assert.isTrue(lease.begin(true))
    assert.strictEqual(lease.begunAt, 0)
    assert.isFalse(lease.streamed)
    lease.succeed(400)
    assert.isFalse(lease.running)
    assert.isTrue(lease.begin())
    assert.isFalse(lease.running)
    lease.release()
    assert.isFalse(lease.begin())
    assert.strictEqual(cell.state, "closed")
  })

  it("is out of the list of running calls after any verdict, and after its release", () => {
    const { admit } = make()
    const ends: Array<(lease: Lease) => void> = [
      (lease) => lease.succeed(1),
      (lease) => lease.fail(),
      (lease) => lease.cutShort(1),
      (lease) => lease.release()
    ]
    for (const end of ends.slice(0, 3)) {
      const lease = admit()
      lease.begin()
      assert.isTrue(lease.running)
      end(lease)
      assert.isFalse(lease.running)
      lease.release()
    }
    const lease = admit()
    lease.begin()
    ends[3]!(lease)
    assert.isFalse(lease.running)
  })

  it("is out of it too when its generation ends, so that nothing keeps it alive", () => {
    const { admit, fail } = make()
    const leases = [admit(), admit(), admit()]
    for (const lease of leases) lease.begin()
    fail(4)
    for (const { after, before, running } of leases) {
      assert.deepStrictEqual({ after, before, running }, { after: undefined, before: undefined, running: false })
    }
  })

  it("works unbound to its class: releases are handed around as methods", () => {
    const { admit, cell, clock, fail } = make()
    fail(4)
    clock.now = 6_000
    const probe = admit()
    const held: { readonly release: () => void } = probe
    assert.strictEqual(cell.probing, 1)
    held.release()
    assert.strictEqual(cell.probing, 0)
  })

  it("gaps are heard after an answer alone", () => {
    const { admit, cell, clock } = make()
    const early = admit()
    for (let i = 0; i < 10; i++) early.gap(5_000)
    assert.strictEqual(cell.state, "closed")
    early.succeed(1)
    for (let i = 0; i < 3; i++) early.gap(5_000)
    assert.strictEqual(cell.state, "closed")
    early.gap(5_000)
    assert.strictEqual(cell.state, "open")
    clock.now = 6_000
    const probe = admit()
    probe.succeed(1)
    for (let i = 0; i < 10; i++) probe.gap(5_000)
    assert.strictEqual(cell.state, "half-open")
  })

  it("a late call that answers is a stream like any other", () => {
    const { admit, cell, clock } = make()
    const late = admit()
    late.begin()
    clock.now = 1_001
    cell.look(clock.now)
    assert.isFalse(late.running)
    late.succeed(1_001)
    for (let i = 0; i < 4; i++) late.gap(5_000)
    assert.strictEqual(cell.state, "open")
  })

  it("a stale lease's Retry-After holds nothing back", () => {
    const { admit, cell, clock, fail } = make()
    const stale = admit()
    fail(4)
    stale.fail(1_000_000)
    clock.now = 6_000
    admit().fail()
    assert.strictEqual(cell.waitMs(clock.now), 10_000)
  })
})

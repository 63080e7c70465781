import { assert, describe, it } from "@effect/vitest"
import * as Random from "../../../../../src/layers/provider/sim/random.ts"
import * as Oracle from "../../../../../bench/scenarios/s2/oracle.ts"

/** The most of all subsets that can be served in order, by trying all of them. */
const tried = (jobs: ReadonlyArray<Oracle.Job>, { perMs, size }: Oracle.Limit): number => {
  let best = 0
  for (let subset = 0; subset < 2 ** jobs.length; subset++) {
    let busy = -Infinity
    let count = 0
    const fits = jobs.every((job, index) => {
      if ((subset & (1 << index)) === 0) return true
      count++
      busy = Math.max(busy, job.atMs - size / perMs) + job.cost / perMs
      return job.cost <= size && busy <= job.latestMs
    })
    if (fits) best = Math.max(best, count)
  }
  return best
}

describe("the oracle", () => {
  it("is never beaten by any choice of requests, nor does it promise more", () => {
    const random = Random.make(1, 2, 3)
    for (let round = 0; round < 300; round++) {
      const patienceMs = 1 + Math.floor(random() * 20)
      let atMs = 0
      const jobs = Array.from({ length: 9 }, (): Oracle.Job => {
        atMs += Math.floor(random() * 6)
        return { atMs, latestMs: atMs + patienceMs, cost: 1 + Math.floor(random() * 8) }
      })
      const limit = { perMs: 1, size: 4 + Math.floor(random() * 5) }
      assert.strictEqual(Oracle.most(jobs, limit), tried(jobs, limit), `round ${round}`)
    }
  })

  it("serves what was saved up, and then what the limit allows until the patience is over", () => {
    const jobs = Array.from({ length: 100 }, (): Oracle.Job => ({ atMs: 0, latestMs: 30, cost: 1 }))
    assert.strictEqual(Oracle.most(jobs, { perMs: 1, size: 20 }), 50)
    assert.strictEqual(Oracle.most([], { perMs: 1, size: 20 }), 0)
  })
})

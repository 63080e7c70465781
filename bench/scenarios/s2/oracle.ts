/**
 * The most requests that anybody could get through a provider's limit in time,
 * had they known all of them beforehand.
 *
 * The limit is a bucket of `size` that refills at `perMs` and begins full. In
 * terms of scheduling it is one machine: a request of `cost` takes cost / perMs
 * of its time, and a full bucket lets it begin size / perMs before the request
 * is there. All requests have the same patience, so releases and deadlines have
 * the same order, and for this case the greedy rule is optimal: take requests
 * in that order, and where one comes too late, drop of those taken the one
 * whose absence makes the last one end earliest (Moore 1968 for one release
 * time; Kise, Ibaraki and Mine 1978 for many). Work may be divided at will
 * here, which a real call's cannot, so it is an upper bound.
 */

/** A request: when it comes, until when it may leave, both in ms, and what it takes of the limit. */
export interface Job {
  readonly atMs: number
  readonly latestMs: number
  readonly cost: number
}

/** The limit. */
export interface Limit {
  readonly perMs: number
  readonly size: number
}

interface Taken {
  /** From when on the machine may work for it. */
  readonly from: number
  readonly ms: number
}

/** How many of the jobs, which are in the order of their times, can leave in time. */
export const most = (jobs: ReadonlyArray<Job>, { perMs, size }: Limit): number => {
  let count = 0
  let busyUntil = -Infinity
  /** The jobs taken since the machine was idle last. */
  let run: Array<Taken> = []
  for (const job of jobs) {
    // More than the bucket holds never leaves.
    if (job.cost > size) continue
    const one = { from: job.atMs - size / perMs, ms: job.cost / perMs }
    if (one.from > busyUntil) run = []
    run.push(one)
    count++
    busyUntil = Math.max(busyUntil, one.from) + one.ms
    while (busyUntil > job.latestMs && run.length > 0) {
      const { end, index } = best(run)
      run.splice(index, 1)
      count--
      busyUntil = run.length === 0 ? -Infinity : end
    }
  }
  return count
}

/** The job without which the run ends earliest (the largest of them), and when it ends then. */
const best = (run: ReadonlyArray<Taken>): { readonly index: number; readonly end: number } => {
  // after[i]: when the jobs from i on end, if nothing came before them.
  const after = new Float64Array(run.length + 1).fill(-Infinity)
  let sum = 0
  for (let index = run.length - 1; index >= 0; index--) {
    const { from, ms } = run[index]!
    sum += ms
    after[index] = Math.max(after[index + 1] ?? -Infinity, from + sum)
  }
  let rest = sum
  let end = -Infinity
  let found = { index: 0, end: Infinity }
  for (const [index, { from, ms }] of run.entries()) {
    rest -= ms
    const without = Math.max(end + rest, after[index + 1] ?? -Infinity)
    if (without < found.end || (without === found.end && ms > (run[found.index]?.ms ?? 0)))
      found = { index, end: without }
    end = Math.max(end, from) + ms
  }
  return found
}

/**
 * One seed: each variant under each policy. What of ours is measured in milliseconds has the machine for itself; the
 * baseline's runs, in which seconds and megabytes go wrong, run beside the rolling restart, where nothing is timed.
 */
import * as Disconnect from "./disconnect.ts"
import { startUpstream } from "./lab.ts"
import type { Policy, Upstream } from "./lab.ts"
import * as RollingRestart from "./rolling-restart.ts"
import type { Row, Variant } from "./row.ts"
import * as SlowReaders from "./slow-readers.ts"
import * as Stalled from "./stalled.ts"

/** One upstream for each run that goes on at the same time, and one for the calls beside the slow readers. */
export interface Upstreams {
  readonly lanes: readonly [Upstream, Upstream, Upstream, Upstream, Upstream]
  readonly beside: Upstream
}

export const startUpstreams = async (): Promise<Upstreams> => {
  const [beside, ...lanes] = await Promise.all([
    startUpstream("beside"),
    startUpstream("upstream 1"),
    startUpstream("upstream 2"),
    startUpstream("upstream 3"),
    startUpstream("upstream 4"),
    startUpstream("upstream 5")
  ])
  return { lanes, beside }
}

export interface Plan {
  readonly seed: number
  readonly quick: boolean
  readonly only: ReadonlyArray<Variant>
}

/** Run one seed; `emit` is given each row as it is there. */
export const runSeed = async (
  { only, quick, seed }: Plan,
  upstreams: Upstreams,
  emit: (row: Row) => void
): Promise<void> => {
  const { beside, lanes } = upstreams
  const size = quick ? "quick" : "full"
  const one = (variant: Variant, policy: Policy, lane: Upstream): Promise<Row> => {
    switch (variant) {
      case "disconnect":
        return Disconnect.run(policy, seed, Disconnect.sizes[size], lane)
      case "slow-readers":
        return SlowReaders.run(policy, seed, SlowReaders.sizes[size], lane, beside)
      case "stalled":
        return Stalled.run(policy, seed, Stalled.sizes[size], lane)
      case "rolling-restart":
        return RollingRestart.run(policy, seed, RollingRestart.sizes[size], lane)
    }
  }
  const together = async (...runs: ReadonlyArray<readonly [Variant, Policy, Upstream]>): Promise<void> => {
    const asked = runs.filter(([variant]) => only.includes(variant))
    for (const row of await Promise.all(asked.map(([variant, policy, lane]) => one(variant, policy, lane)))) emit(row)
  }
  await together(["disconnect", "ballast", lanes[0]], ["stalled", "ballast", lanes[1]])
  await together(["slow-readers", "ballast", lanes[0]])
  await together(
    ["rolling-restart", "ballast", lanes[0]],
    ["rolling-restart", "promise-race", lanes[1]],
    ["disconnect", "promise-race", lanes[2]],
    ["stalled", "promise-race", lanes[3]],
    ["slow-readers", "promise-race", lanes[4]]
  )
}

/** One policy of one case with one seed: by Ballast's own simulator, or by the world of the other libraries. */
import { Cause, Effect, Exit } from "effect"
import * as Fleet from "../../../src/programs/simulate/fleet.ts"
import * as Play from "../../../src/programs/simulate/play.ts"
import * as Scenario from "../../../src/programs/simulate/scenario.ts"
import * as Traffic from "../../../src/programs/simulate/traffic.ts"
import * as World from "../world/play.ts"
import type { Case, Figures, Run } from "./case.ts"

/** Which seed, and whether to be brief. */
export interface Options {
  readonly seed: number
  readonly quick: boolean
}

const scenarioOf = (one: Case, options: Options): Scenario.Scenario => {
  const exit = Effect.runSyncExit(Scenario.fromUnknown(one.scenario(options), one.variant))
  if (Exit.isSuccess(exit)) return exit.value
  throw Cause.squash(exit.cause)
}

/** The policies of a case: Ballast's first. */
export const policiesOf = (one: Case): ReadonlyArray<string> => [
  ...Object.keys(one.scenario({ seed: 1, quick: true }).policies),
  ...Object.keys(one.baselines)
]

/** Play one policy. */
export const play = async (one: Case, policy: string, options: Options): Promise<Run> => {
  const { seed } = options
  const scenario = scenarioOf(one, options)
  const baseline = one.baselines[policy]
  if (baseline === undefined) return Play.play(scenario, policy, seed)
  const visits = Traffic.make(scenario, seed)
  // The balancer of the fleet, and the providers' seeds, are those of Ballast's side.
  const places = Play.balance(visits, scenario.processes, seed)
  const providers = Object.fromEntries(
    Object.entries(scenario.providers).map(([name, sim]) => [
      name,
      { ...sim, seed: Fleet.providerSeed(sim.seed, seed, name) }
    ])
  )
  const played = await World.play({ seed, visits, places, processes: scenario.processes, providers, baseline })
  return { scenario, policy, seed, visits, ...played }
}

/** The figures of one policy. */
export const figures = async (one: Case, policy: string, options: Options): Promise<Figures> =>
  one.figures(await play(one, policy, options), (other) => play(one, other, options))

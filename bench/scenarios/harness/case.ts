/**
 * What a scenario benchmark consists of: cases (variants), each with its
 * traffic, the policies that are compared, how to read figures off a run, and
 * what the figures of Ballast's own policies must be.
 */
import type { SimStats } from "../../../src/layers/provider/sim/engine.ts"
import type { Ending } from "../../../src/programs/simulate/ending.ts"
import type { FleetTransition, ProviderCall } from "../../../src/programs/simulate/fleet.ts"
import type { Scenario, ScenarioInput } from "../../../src/programs/simulate/scenario.ts"
import type { Visit } from "../../../src/programs/simulate/visit.ts"
import type { Baseline } from "../world/play.ts"

/** What happened in one run, whoever guarded the calls. Times in ms after the start. */
export interface Run {
  readonly scenario: Scenario
  readonly policy: string
  readonly seed: number
  readonly visits: ReadonlyArray<Visit>
  readonly endings: ReadonlyArray<Ending>
  readonly calls: ReadonlyArray<ProviderCall>
  readonly transitions: ReadonlyArray<FleetTransition>
  readonly stats: Readonly<Record<string, SimStats>>
}

/**
 * The figures of a run; those that do not apply are left out.
 *
 * - `goodput_ratio`: good answers a second at the end over those before the trigger (S1), or over the capacity (S3)
 * - `success_ratio`: good answers over requests
 * - `attempts_per_request`: calls to providers over requests
 * - `recovery_s`: after the trigger's end; the whole time looked at where there was none
 * - `late_ratio`: calls that ended too late, or were cut for being too late, over all that were made for somebody
 * - `reject_p99_ms`: from the intended send time to the refusal, of requests refused without a call
 * - `jain`: Jain's index of what each tenant got over its max-min fair share
 * - `small_tenant_success`: good answers over requests of all tenants whose demand is below their fair share
 * - `extra_cost_ratio`: billed tokens of all calls, cancelled ones too, over the same of the unhedged run
 * - `ttft_p99_ms`: from the intended send time to the first token
 */
export interface Figures {
  readonly goodput_ratio?: number | undefined
  readonly success_ratio?: number | undefined
  readonly attempts_per_request?: number | undefined
  readonly recovery_s?: number | undefined
  readonly late_ratio?: number | undefined
  readonly reject_p99_ms?: number | undefined
  readonly jain?: number | undefined
  readonly small_tenant_success?: number | undefined
  readonly extra_cost_ratio?: number | undefined
  readonly ttft_p99_ms?: number | undefined
  readonly [more: string]: number | undefined
}

/** A figure's bound: every seed must keep it. */
export interface Target {
  readonly field: string
  readonly at: "least" | "most"
  readonly bound: number
}

/** At least so much. */
export const least = (field: string, bound: number): Target => ({ field, at: "least", bound })

/** At most so much. */
export const most = (field: string, bound: number): Target => ({ field, at: "most", bound })

/** Whether a figure keeps its bound. A figure that is not there does not. */
export const isMet = ({ at, bound, field }: Target, figures: Figures): boolean => {
  const value = figures[field]
  return value !== undefined && (at === "least" ? value >= bound : value <= bound)
}

/** One variant. */
export interface Case {
  readonly variant: string
  /** In a sentence, for the report. */
  readonly about: string
  /** Traffic, providers and, under `policies`, Ballast's rows. `quick` may shorten it. */
  readonly scenario: (options: { readonly seed: number; readonly quick: boolean }) => ScenarioInput
  /** The other rows. */
  readonly baselines: Readonly<Record<string, Baseline>>
  /** `again` plays another policy on the same seed, for figures that compare. */
  readonly figures: (run: Run, again: (policy: string) => Promise<Run>) => Figures | Promise<Figures>
  /** What holds for Ballast's rows on every seed. */
  readonly targets: ReadonlyArray<Target>
  /** What is said of a baseline; reported, but no failure. */
  readonly expected?: Readonly<Record<string, ReadonlyArray<Target>>>
}

/** One benchmark. */
export interface Bench {
  readonly name: string
  readonly title: string
  /** How rates and sizes relate to those of the definition. */
  readonly scale: string
  readonly cases: ReadonlyArray<Case>
  /** Said before the run, where something is missing. */
  readonly notice?: string
  /** The first variant as an SVG picture, where there is one. */
  readonly picture?: {
    readonly policies: ReadonlyArray<string>
    readonly draw: (runs: readonly [Run, ...Array<Run>]) => string
  }
}

/** Whether a row is one of Ballast's shipped policies, which must meet the targets. */
export const isOurs = (policy: string): boolean => policy === "ballast" || policy.startsWith("ballast-")

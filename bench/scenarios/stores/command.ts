/**
 * The command line of a scenario that is played in real time with real processes and stores: seed after seed, one
 * variant and policy at a time, with the flags, the JSON lines, the table and the exit code of the other scenarios.
 */
import { parseArgs } from "node:util"
import { bindToProcess, endChildren } from "../../child/lifetime.ts"
import type { Case, Figures } from "../harness/case.ts"
import * as Table from "../harness/table.ts"

/** One run to play. */
export interface Plan {
  readonly variant: string
  readonly policy: string
  readonly seed: number
  /** The short form, with few processes. */
  readonly small: boolean
}

/** A variant of a benchmark in real time. */
export interface RealCase extends Pick<Case, "variant" | "about" | "targets" | "expected"> {
  readonly policies: ReadonlyArray<string>
}

/** A benchmark in real time. */
export interface RealBench {
  readonly name: string
  readonly title: string
  readonly scale: string
  readonly cases: ReadonlyArray<RealCase>
  readonly play: (plan: Plan) => Promise<Figures>
  /** Said before the run, where something is missing. */
  readonly notice?: (() => string | undefined) | undefined
  /** Whether the stores it needs can be used; what is missing where they cannot. */
  readonly missing: () => Promise<string | undefined>
}

const usage = (name: string) => `usage: npm run bench -- ${name} [flags]

  --seeds N       how many random draws (3)
  --first-seed N  the first of them (1)
  --variant V     only this variant; may be given several times
  --policy P      only this policy; may be given several times
  --json          one line of JSON for each run, and nothing else
  --small         few processes and a short run (--quick is the same)

Needs redis-server on the PATH, and Postgres at DATABASE_URL or the standard port where the scenario keeps books.
`

const limitMs = 60 * 60_000

const whole = (flag: string, text: string): number => {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`--${flag} ${text}: a whole number from 1 on`)
  return value
}

/** Figures to six digits: more would be noise. */
const rounded = (value: number | undefined) =>
  value === undefined || !Number.isFinite(value) ? value : Number(value.toPrecision(6))

/** A run as a line of JSON. */
export const line = (scenario: string, { policy, seed, variant }: Plan, figures: Figures): string =>
  JSON.stringify({
    scenario,
    variant,
    policy,
    seed,
    ...Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, rounded(value)]))
  })

/** Every variant and policy for every seed, seeds last. */
const plansOf = (
  bench: RealBench,
  values: {
    seeds: number
    first: number
    variants: ReadonlyArray<string>
    policies: ReadonlyArray<string>
    small: boolean
  }
): ReadonlyArray<Plan> =>
  bench.cases
    .filter(({ variant }) => values.variants.length === 0 || values.variants.includes(variant))
    .flatMap(({ policies, variant }) =>
      policies
        .filter((policy) => values.policies.length === 0 || values.policies.includes(policy))
        .flatMap((policy) =>
          Array.from({ length: values.seeds }, (_, index) => ({
            variant,
            policy,
            seed: values.first + index,
            small: values.small
          }))
        )
    )

const playAll = async (
  bench: RealBench,
  plans: ReadonlyArray<Plan>,
  json: boolean
): Promise<ReadonlyArray<Table.Result>> => {
  const results: Array<Table.Result> = []
  for (const plan of plans) {
    const { policy, seed, small, variant } = plan
    const since = performance.now()
    const figures = await bench.play(plan).catch((error: unknown) => {
      process.stderr.write(`${variant} ${policy} seed ${seed} failed: ${String(error)}\n`)
      return undefined
    })
    results.push({ job: { scenario: bench.name, variant, policy, seed, quick: small }, figures })
    if (json) process.stdout.write(`${line(bench.name, plan, figures ?? { failed: 1 })}\n`)
    const seconds = Math.round((performance.now() - since) / 1_000)
    process.stderr.write(
      `${bench.name} ${results.length}/${plans.length} ${seconds} s  ${variant} ${policy} seed ${seed}\n`
    )
  }
  return results
}

/** The `main` of a benchmark. */
export const of =
  (bench: RealBench) =>
  async (argv: ReadonlyArray<string>): Promise<void> => {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        seeds: { type: "string", default: "3" },
        "first-seed": { type: "string", default: "1" },
        variant: { type: "string", multiple: true, default: [] },
        policy: { type: "string", multiple: true, default: [] },
        json: { type: "boolean", default: false },
        small: { type: "boolean", default: false },
        quick: { type: "boolean", default: false },
        help: { type: "boolean", default: false }
      }
    })
    if (values.help) return void process.stdout.write(usage(bench.name))
    const missing = await bench.missing()
    if (missing !== undefined) {
      process.stderr.write(`${bench.name} cannot be played: ${missing}\n`)
      process.exitCode = 2
      return
    }
    const notice = bench.notice?.()
    if (notice !== undefined) process.stderr.write(`${notice}\n`)
    const plans = plansOf(bench, {
      seeds: whole("seeds", values.seeds),
      first: whole("first-seed", values["first-seed"]),
      variants: values.variant,
      policies: values.policy,
      small: values.small || values.quick
    })
    if (plans.length === 0) {
      const cases = bench.cases.map((one) => `  ${one.variant}: ${one.policies.join(", ")}`)
      process.stderr.write(`Nothing to play. Variants and policies of ${bench.name}:\n${cases.join("\n")}\n`)
      process.exitCode = 2
      return
    }
    bindToProcess(limitMs)
    try {
      const results = await playAll(bench, plans, values.json)
      if (!values.json) process.stdout.write(Table.render(bench, results))
      if (!Table.allMet(bench, results)) process.exitCode = 1
    } finally {
      endChildren()
    }
  }

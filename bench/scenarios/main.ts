/**
 * `npm run bench -- S1` and so on: a scenario of faults or overload, played in
 * virtual time against Ballast and against other libraries, for many seeds.
 * Ends with exit code 1 when one of Ballast's own rows misses a target.
 */
import { writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import * as Benches from "./harness/benches.ts"
import type { Bench, Run } from "./harness/case.ts"
import type { Job } from "./harness/job.ts"
import * as Pool from "./harness/pool.ts"
import * as PlayRun from "./harness/run.ts"
import * as Table from "./harness/table.ts"

const usage = (name: string) => `usage: npm run bench -- ${name} [flags]

  --seeds N       seeds to play, default 30
  --first-seed N  the first of them, default 1
  --variant V     only this variant; may be given several times
  --policy P      only this policy; may be given several times
  --json          one line of JSON for each variant, policy and seed, and nothing else
  --svg FILE      draw one run (S1: goodput over time; S4: success of each tenant)
  --jobs N        runs at once, default one for each core
  --quick         shorter runs where that changes no result
`

interface Flags {
  readonly seeds: number
  readonly firstSeed: number
  readonly variants: ReadonlyArray<string>
  readonly policies: ReadonlyArray<string>
  readonly quick: boolean
}

const wanted = (names: ReadonlyArray<string>, name: string) => names.length === 0 || names.includes(name)

/** Seeds go last, so that a policy's runs of all seeds stand together. */
const jobsOf = (bench: Bench, flags: Flags): ReadonlyArray<Job> =>
  bench.cases
    .filter(({ variant }) => wanted(flags.variants, variant))
    .flatMap((one) =>
      PlayRun.policiesOf(one)
        .filter((policy) => wanted(flags.policies, policy))
        .flatMap((policy) =>
          Array.from({ length: flags.seeds }, (_, index) => ({
            scenario: bench.name,
            variant: one.variant,
            policy,
            seed: flags.firstSeed + index,
            quick: flags.quick
          }))
        )
    )

/** Figures to six digits: more would be the noise of doubles. */
const rounded = (value: number | undefined) =>
  value === undefined || !Number.isFinite(value) ? value : Number(value.toPrecision(6))

const row = ({ policy, scenario, seed, variant }: Job, figures: Table.Result["figures"]): string =>
  `${JSON.stringify({
    scenario,
    variant,
    policy,
    seed,
    ...Object.fromEntries(Object.entries(figures ?? { failed: 1 }).map(([name, value]) => [name, rounded(value)]))
  })}\n`

/** Play them; lines of JSON come in the order of the jobs, as soon as all before them are there. */
const play = async (jobs: ReadonlyArray<Job>, json: boolean, atOnce: number | undefined) => {
  const results: Array<Table.Result | undefined> = jobs.map(() => undefined)
  let written = 0
  let done = 0
  const since = performance.now()
  await Pool.run(
    jobs,
    (index, reply) => {
      const job = jobs[index]
      if (job === undefined) return
      done++
      if (reply._tag === "Failed") {
        process.stderr.write(`\n${job.variant} ${job.policy} seed ${job.seed} failed:\n${reply.error}\n`)
      }
      results[index] = { job, figures: reply._tag === "Done" ? reply.figures : undefined }
      for (let next = results[written]; next !== undefined; next = results[++written]) {
        if (json) process.stdout.write(row(next.job, next.figures))
      }
      const seconds = Math.round((performance.now() - since) / 1_000)
      const note = `${job.scenario} ${done}/${jobs.length} ${seconds} s  ${job.variant} ${job.policy} seed ${job.seed}`
      process.stderr.write(process.stderr.isTTY ? `\r\u001b[K${note}` : `${note}\n`)
    },
    atOnce
  )
  if (process.stderr.isTTY) process.stderr.write("\n")
  return results.flatMap((result) => (result === undefined ? [] : [result]))
}

/** Play the policies of the picture once more, here, and draw them. */
const drawing = async (bench: Bench, file: string, seed: number): Promise<void> => {
  const [one] = bench.cases
  const { picture } = bench
  if (one === undefined || picture === undefined) throw new Error(`${bench.name} has no picture`)
  const runs: Array<Run> = []
  for (const policy of picture.policies) runs.push(await PlayRun.play(one, policy, { seed, quick: false }))
  const [first, ...others] = runs
  if (first !== undefined) writeFileSync(file, picture.draw([first, ...others]))
}

const count = (text: string, name: string): number => {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} ${text}: a whole number from 1 on`)
  return value
}

/** The command line of one benchmark. */
export const of =
  (name: string) =>
  async (argv: ReadonlyArray<string>): Promise<void> => {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        seeds: { type: "string", default: "30" },
        "first-seed": { type: "string", default: "1" },
        variant: { type: "string", multiple: true, default: [] },
        policy: { type: "string", multiple: true, default: [] },
        json: { type: "boolean", default: false },
        svg: { type: "string" },
        jobs: { type: "string" },
        quick: { type: "boolean", default: false },
        help: { type: "boolean", default: false }
      }
    })
    if (values.help) return void process.stdout.write(usage(name))
    const bench = await Benches.load(name)
    if (bench.notice !== undefined) process.stderr.write(`${bench.notice}\n`)
    const flags: Flags = {
      seeds: count(values.seeds, "seeds"),
      firstSeed: count(values["first-seed"], "first-seed"),
      variants: values.variant,
      policies: values.policy,
      quick: values.quick
    }
    if (values.svg !== undefined) await drawing(bench, values.svg, flags.firstSeed)
    const jobs = jobsOf(bench, flags)
    if (jobs.length === 0) {
      const cases = bench.cases.map((one) => `  ${one.variant}: ${PlayRun.policiesOf(one).join(", ")}`)
      process.stderr.write(`Nothing to play. Variants and policies of ${name}:\n${cases.join("\n")}\n`)
      process.exitCode = 2
      return
    }
    const results = await play(jobs, values.json, values.jobs === undefined ? undefined : count(values.jobs, "jobs"))
    if (!values.json) process.stdout.write(Table.render(bench, results))
    if (!Table.allMet(bench, results)) process.exitCode = 1
  }

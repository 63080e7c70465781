/**
 * A scenario as it stands in its file: a fleet, its providers and their faults,
 * the traffic, and the policies to compare. The same traffic meets each policy.
 *
 * Everything that is wrong with a file is reported at once, with its path.
 */
import { Effect, FileSystem, Result, Schema } from "effect"
import { Plan, Priority } from "../../domain/caller.ts"
import type { ResolvedConfig } from "../../domain/config.ts"
import { ConfigError } from "../../domain/config-error.ts"
import type { ConfigProblem } from "../../domain/config-error.ts"
import { Config as ConfigFile } from "../../domain/config-file.ts"
import { SimOptions } from "../../layers/provider/sim/options.ts"
import * as Config from "../config.ts"
import * as File from "../config/file.ts"
import * as Problems from "../config/problems.ts"

const field = <S extends Schema.Top>(schema: S, otherwise: S["Encoded"], description: string) =>
  schema.pipe(Schema.withDecodingDefaultKey(Effect.succeed(otherwise))).annotate({ description })
const maybe = <S extends Schema.Top>(schema: S, description: string) =>
  Schema.optionalKey(schema.annotate({ description }))
const need = <S extends Schema.Top>(schema: S, description: string) => schema.annotate({ description })

const NotNegative = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))
const Positive = Schema.Finite.check(Schema.isGreaterThan(0))
const atLeast = (min: number) => Schema.Int.check(Schema.isGreaterThanOrEqualTo(min))
const Name = Schema.String.check(
  Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9._-]*$/u, { expected: "a name of letters, digits, '.', '_' and '-'" })
)

const cut = {
  min: maybe(NotNegative, "smaller draws count as this"),
  max: maybe(NotNegative, "larger draws count as this")
}

/** Where a number of each visit comes from: always the same, exponential by its mean, or log-normal by its median. */
export const Distribution = Schema.Union([
  NotNegative,
  Schema.Struct({ kind: Schema.Literal("fixed"), value: NotNegative }),
  Schema.Struct({ kind: Schema.Literal("exponential"), mean: NotNegative, ...cut }),
  Schema.Struct({ kind: Schema.Literal("lognormal"), median: NotNegative, sigma: NotNegative, ...cut })
])
export type Distribution = typeof Distribution.Type

/** What one visit is like; a tenant may have its own. */
const shape = {
  inputTokens: need(Distribution, "length of the prompts, in tokens"),
  outputTokens: need(Distribution, "length of the answers, in tokens"),
  ttftMs: need(Distribution, "how long an idle provider takes to the first token"),
  perTokenMs: need(Distribution, "how long an idle provider takes for each further token of an answer"),
  stream: need(Schema.Boolean, "whether answers are streamed"),
  patienceMs: need(Positive, "an answer that is complete later than this is no good one"),
  maxTokens: need(atLeast(1), "max_tokens of each request; missing: none is named"),
  model: need(Schema.NonEmptyString, "the model's alias")
}

/** Some of the traffic. The same tenant may stand in several entries. */
export const Tenant = Schema.Struct({
  name: need(Name, "the tenant; with count it is name-1, name-2 …"),
  count: maybe(atLeast(1), "so many tenants, each with this traffic of its own"),
  plan: field(Plan, "standard", "premium tenants get more"),
  feature: field(Schema.NonEmptyString, "default", "the feature it calls under"),
  critical: field(Schema.Boolean, true, "false: cut early, after policies.timeouts.nonCriticalMs"),
  priority: maybe(Priority, "which share of the places its calls ask for"),
  ratePerS: need(NotNegative, "mean arrivals a second"),
  cv: field(NotNegative, 1, "coefficient of variation of the times between arrivals; 1 is Poisson, 0 a clockwork"),
  fromS: field(NotNegative, 0, "when it begins"),
  toS: maybe(NotNegative, "when it ends; missing: with the scenario"),
  recorded: maybe(
    Schema.Array(Schema.Struct({ atS: NotNegative, inputTokens: NotNegative, outputTokens: NotNegative })),
    "recorded visits instead of drawn ones: when, after fromS, and how long"
  ),
  inputTokens: Schema.optionalKey(shape.inputTokens),
  outputTokens: Schema.optionalKey(shape.outputTokens),
  ttftMs: Schema.optionalKey(shape.ttftMs),
  perTokenMs: Schema.optionalKey(shape.perTokenMs),
  stream: Schema.optionalKey(shape.stream),
  patienceMs: Schema.optionalKey(shape.patienceMs),
  maxTokens: Schema.optionalKey(shape.maxTokens),
  model: Schema.optionalKey(shape.model)
})
export interface Tenant extends Schema.Schema.Type<typeof Tenant> {}

const Traffic = Schema.Struct({
  tenants: need(Schema.NonEmptyArray(Tenant), "who asks, and how often"),
  inputTokens: field(shape.inputTokens, 200, "length of the prompts, in tokens"),
  outputTokens: field(shape.outputTokens, 100, "length of the answers, in tokens"),
  ttftMs: field(shape.ttftMs, 300, "how long an idle provider takes to the first token"),
  perTokenMs: field(shape.perTokenMs, 10, "how long an idle provider takes for each further token of an answer"),
  stream: field(shape.stream, false, "whether answers are streamed"),
  patienceMs: field(shape.patienceMs, 10_000, "an answer that is complete later than this is no good one"),
  maxTokens: Schema.optionalKey(shape.maxTokens),
  model: Schema.optionalKey(shape.model)
})

/** A span of time with a name, for the picture and the figures. The first of kind `trigger` is what recovery is measured from. */
export const Mark = Schema.Struct({
  name: need(Schema.NonEmptyString, "shown in the picture"),
  kind: field(
    Schema.Literals(["trigger", "note"]),
    "trigger",
    "recovery is measured from the end of the first trigger"
  ),
  fromS: need(NotNegative, "when it begins"),
  toS: need(NotNegative, "when it ends")
})
export interface Mark extends Schema.Schema.Type<typeof Mark> {}

/** The whole file. */
export const Scenario = Schema.Struct({
  name: need(Schema.NonEmptyString, "shown in the output"),
  description: field(Schema.String, "", "what it is about, in a sentence"),
  durationS: need(Positive, "how long visits come, in seconds of virtual time"),
  processes: field(atLeast(1), 1, "processes of the fleet, each with guards of its own"),
  providers: need(
    Schema.Record(Name, SimOptions),
    "the simulated providers by name, and their faults; their times come from the traffic"
  ),
  models: maybe(
    ConfigFile.fields.models.schema,
    "as in ballast.config.json; one model `chat` over all providers in their order where missing"
  ),
  policies: need(
    Schema.Record(Name, ConfigFile.fields.policies.to),
    "the policies to compare, by name; each as `policies` in ballast.config.json, {} is what Ballast ships"
  ),
  traffic: need(Traffic, "who asks for what, and when"),
  leaves: field(Schema.Boolean, false, "whether visitors hang up when their patience is over"),
  marks: field(Schema.Array(Mark), [], "spans of time to show")
})
export interface Scenario extends Schema.Schema.Type<typeof Scenario> {}

/** A scenario as written down, with defaults left out. */
export type ScenarioInput = typeof Scenario.Encoded

const decode = Schema.decodeUnknownResult(Scenario, { errors: "all", onExcessProperty: "error" })

/** The models of a scenario that names none: one, over all providers in their order, at a dollar and two a million tokens. */
const defaultModels = (providers: ReadonlyArray<string>) => [
  {
    alias: "chat",
    candidates: providers.map((name) => `${name}/model`),
    price: { inputPerMillion: 1, outputPerMillion: 2 }
  }
]

/** The model that visits ask for where they name none. */
export const modelOf = (scenario: Scenario): string => scenario.models?.[0]?.alias ?? "chat"

/**
 * Ballast's configuration for one policy of a scenario: its providers and
 * models with these policies over the shipped ones.
 */
export const configOf = (scenario: Scenario, policy: string): Effect.Effect<ResolvedConfig, ConfigError> => {
  const names = Object.keys(scenario.providers)
  return Config.fromUnknown(
    {
      providers: Object.fromEntries(names.map((name) => [name, { kind: "sim" }])),
      models: scenario.models ?? defaultModels(names),
      policies: scenario.policies[policy] ?? {}
    },
    scenario.name
  )
}

/** What a schema cannot see: whether the parts fit together. */
const check = (scenario: Scenario): ReadonlyArray<ConfigProblem> => {
  const problems: Array<ConfigProblem> = []
  const add = (path: string, found: string, allowed: string) => problems.push({ path, found, allowed })
  const providers = Object.keys(scenario.providers)
  const policies = Object.keys(scenario.policies)
  if (providers.length === 0) add("providers", "no provider", "at least one simulated provider by name")
  if (policies.length === 0) add("policies", "no policy", 'at least one by name, e.g. "ballast": {}')
  const aliases = scenario.models?.map(({ alias }) => alias) ?? ["chat"]
  const known = aliases.map((alias) => JSON.stringify(alias)).join(", ")
  const model = (path: string, alias: string | undefined) => {
    if (alias !== undefined && !aliases.includes(alias)) add(path, JSON.stringify(alias), `a model's alias: ${known}`)
  }
  model("traffic.model", scenario.traffic.model)
  const span = (path: string, fromS: number, toS: number) => {
    if (toS <= fromS) add(path, String(toS), `more than fromS, which is ${fromS}`)
  }
  for (const [index, tenant] of scenario.traffic.tenants.entries()) {
    model(`traffic.tenants[${index}].model`, tenant.model)
    span(`traffic.tenants[${index}].toS`, tenant.fromS, tenant.toS ?? Math.max(scenario.durationS, tenant.fromS + 1))
    if (tenant.fromS >= scenario.durationS) {
      add(
        `traffic.tenants[${index}].fromS`,
        String(tenant.fromS),
        `less than durationS, which is ${scenario.durationS}`
      )
    }
  }
  for (const [index, { fromS, toS }] of scenario.marks.entries()) span(`marks[${index}].toS`, fromS, toS)
  return problems
}

/** Where a problem of a policy's configuration stands in the scenario's file. */
const inPolicy = (policy: string, problem: ConfigProblem): ConfigProblem => ({
  ...problem,
  path: problem.path.startsWith("policies.")
    ? `policies.${policy}${problem.path.slice("policies".length)}`
    : problem.path
})

/** Check a value of the file's shape. `source` names it in errors. */
export const fromUnknown = Effect.fnUntraced(function* (
  input: unknown,
  source = "the scenario"
): Effect.fn.Return<Scenario, ConfigError> {
  const decoded = decode(input)
  if (Result.isFailure(decoded)) {
    return yield* new ConfigError({ source, problems: Problems.fromIssue(input, decoded.failure.issue) })
  }
  const scenario = decoded.success
  const problems = [...check(scenario)]
  if (problems.length === 0) {
    for (const policy of Object.keys(scenario.policies)) {
      const config = yield* Effect.result(configOf(scenario, policy))
      if (Result.isSuccess(config)) continue
      for (const problem of config.failure.problems) {
        const placed = inPolicy(policy, problem)
        // What is wrong with the models is wrong with them under each policy.
        if (!problems.some(({ path }) => path === placed.path)) problems.push(placed)
      }
    }
  }
  return problems.length > 0 ? yield* new ConfigError({ source, problems }) : scenario
})

/** The scenario of a file. */
export const load = (file: string): Effect.Effect<Scenario, ConfigError, FileSystem.FileSystem> =>
  Effect.flatMap(File.readJson(file, "the command line"), (input) => fromUnknown(input, file))

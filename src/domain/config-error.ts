/**
 * A configuration that cannot be used, with everything that is wrong with it
 * at once: a reader repairs the file in one go.
 */
import { Schema } from "effect"

/**
 * One thing that is wrong.
 *
 * - `path`: where, as `providers.openai.apiKey` or `models[0].alias`; empty for the file as a whole
 * - `found`: what stands there; never a secret
 * - `allowed`: what may stand there
 * - `hint`: how to repair it, where that is not obvious
 */
export const ConfigProblem = Schema.Struct({
  path: Schema.String,
  found: Schema.String,
  allowed: Schema.String,
  hint: Schema.optionalKey(Schema.String)
})
export interface ConfigProblem extends Schema.Schema.Type<typeof ConfigProblem> {}

const render = (problem: ConfigProblem): string =>
  [
    `  ${problem.path === "" ? "(the whole file)" : problem.path}`,
    `    found    ${problem.found}`,
    `    allowed  ${problem.allowed}`,
    ...(problem.hint === undefined ? [] : [`    hint     ${problem.hint}`])
  ].join("\n")

/** The configuration from `source` (a file, or what else it came from) has `problems`, at least one. */
export class ConfigError extends Schema.TaggedError<ConfigError>()("ConfigError", {
  source: Schema.String,
  problems: Schema.Array(ConfigProblem)
}) {
  override get message(): string {
    const count = this.problems.length
    return [
      `${this.source} cannot be used: ${count} problem${count === 1 ? "" : "s"}`,
      ...this.problems.map(render)
    ].join("\n\n")
  }
}

const plain = /^[A-Za-z_$][A-Za-z0-9_$-]*$/

/** `["models", 0, "alias"]` as `models[0].alias`; keys that are no plain word as `features["a b"]`. */
export const pathText = (path: ReadonlyArray<PropertyKey>): string => {
  let text = ""
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`
    else if (plain.test(String(part))) text += text === "" ? String(part) : `.${String(part)}`
    else text += `[${JSON.stringify(String(part))}]`
  }
  return text
}

/**
 * Environment variables that stand above the file. They are written into the
 * raw file before it is checked, so one check speaks for both and its message
 * names the variable. `PORT` alone is not honoured: platforms set it for the
 * one process they route to, and Ballast often runs beside that one.
 */
import { Config, Effect, Option } from "effect"
import type { Redacted } from "effect"

/** A value that stands above the file: the command line's flags and the environment variables. */
export interface Override {
  readonly path: readonly [string, ...Array<string>]
  readonly value: unknown
  /** Where it came from, for messages: `BALLAST_PORT` or `--port`. */
  readonly from: string
}

/** The file's name comes from this variable where no `--config` is given. */
export const configVariable = "BALLAST_CONFIG"

/** All variables, what they override and how they are read. Durations in ms. */
export const variables = [
  { name: "BALLAST_HOST", path: ["server", "host"], kind: "text" },
  { name: "BALLAST_PORT", path: ["server", "port"], kind: "number" },
  { name: "BALLAST_ADMIN_HOST", path: ["server", "adminHost"], kind: "text" },
  { name: "BALLAST_ADMIN_PORT", path: ["server", "adminPort"], kind: "number" },
  { name: "BALLAST_BODY_LIMIT_BYTES", path: ["server", "bodyLimitBytes"], kind: "number" },
  { name: "BALLAST_BODY_TIMEOUT_MS", path: ["server", "bodyTimeoutMs"], kind: "number" },
  { name: "BALLAST_SLOW_CLIENT_MS", path: ["server", "slowClientMs"], kind: "number" },
  { name: "BALLAST_DRAIN_MS", path: ["server", "drainMs"], kind: "number" },
  { name: "BALLAST_MAX_CONNECTIONS", path: ["server", "maxConnections"], kind: "number" },
  { name: "BALLAST_TRUST_PROXY", path: ["server", "trustProxy"], kind: "boolean" },
  { name: "BALLAST_SAMPLE_RATIO", path: ["telemetry", "sampleRatio"], kind: "number" },
  { name: "BALLAST_SLOW_MS", path: ["telemetry", "slowMs"], kind: "number" },
  { name: "BALLAST_HARD_TIMEOUT_MS", path: ["policies", "timeouts", "hardMs"], kind: "number" },
  { name: "BALLAST_MAX_IN_FLIGHT", path: ["policies", "bulkhead", "maxInFlight"], kind: "number" },
  { name: "BALLAST_MAX_RETRIES", path: ["policies", "retry", "maxRetries"], kind: "number" }
] as const

/** Text as the JSON value it means; what means none stays text and fails the check by its own name. */
const toValue = (text: string, kind: "text" | "number" | "boolean"): unknown => {
  if (kind === "number") return /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text) ? Number(text) : text
  if (kind === "boolean")
    return text === "true" || text === "1" ? true : text === "false" || text === "0" ? false : text
  return text
}

// A provider that cannot be read at all is the same as an empty one here: the file still stands.
const text = (name: string) =>
  Config.option(Config.String(name)).pipe(
    Effect.map(Option.getOrUndefined),
    Effect.orElseSucceed(() => undefined)
  )

/** The configuration file named by the environment; an empty variable is none. */
export const configFile: Effect.Effect<string | undefined> = text(configVariable)

/** The overrides that are set. */
export const overrides: Effect.Effect<ReadonlyArray<Override>> = Effect.gen(function* () {
  const found: Array<Override> = []
  for (const { kind, name, path } of variables) {
    const value = yield* text(name)
    if (value !== undefined) found.push({ path: [...path], value: toValue(value.trim(), kind), from: name })
  }
  return found
})

/** The secret in variable `name`; `undefined` where it is missing or empty. */
export const secret = (name: string): Effect.Effect<Redacted.Redacted<string> | undefined> =>
  Config.option(Config.Redacted(name)).pipe(
    Effect.map(Option.getOrUndefined),
    Effect.orElseSucceed(() => undefined)
  )

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** `root` with `override` written into it; unchanged where something that is no object stands in the way. */
export const apply = (root: unknown, { path: [head, ...rest], value }: Override): unknown => {
  if (!isObject(root)) return root
  const [next, ...others] = rest
  if (next === undefined) return { ...root, [head]: value }
  const inner = Object.hasOwn(root, head) ? root[head] : {}
  return { ...root, [head]: apply(inner, { path: [next, ...others], value, from: "" }) }
}

/**
 * Finding, reading and checking the configuration. The file is the one asked
 * for, else `BALLAST_CONFIG`, else `./ballast.config.json` where it exists,
 * else the built-in default. Flags stand above environment variables, which
 * stand above the file. Everything that is wrong is reported at once.
 */
import { Effect, FileSystem, Result, Schema } from "effect"
import type { ResolvedConfig } from "../domain/config.ts"
import * as Default from "../domain/config-default.ts"
import { ConfigError, pathText } from "../domain/config-error.ts"
import type { ConfigProblem } from "../domain/config-error.ts"
import { Config } from "../domain/config-file.ts"
import type { BallastConfig } from "../domain/config-file.ts"
import { check } from "./config/check.ts"
import * as Environment from "./config/environment.ts"
import type { Override } from "./config/environment.ts"
import * as File from "./config/file.ts"
import * as Problems from "./config/problems.ts"
import { resolve } from "./config/resolve.ts"
import * as Secrets from "./config/secrets.ts"

/** The file that is read where it exists and no other is named. */
export const defaultFile = "ballast.config.json"

/**
 * - `overrides`: values above file and environment, e.g. flags
 * - `secrets`: `false` leaves secrets unread and empty, to check a file where its secrets are not
 */
export interface LoadOptions {
  readonly overrides?: ReadonlyArray<Override> | undefined
  readonly secrets?: boolean | undefined
}

const decode = Schema.decodeUnknownResult(Config, { errors: "all", onExcessProperty: "error" })

/** Providers and models that stand for missing ones: both, or the simulated provider alone. */
const withDefaults = (config: BallastConfig): BallastConfig => {
  const built = Schema.decodeSync(Config)({ providers: Default.providers, models: Default.models })
  if (config.providers !== undefined) return config
  const { models = built.models, ...rest } = config
  return {
    ...rest,
    ...(built.providers === undefined ? {} : { providers: built.providers }),
    ...(models === undefined ? {} : { models })
  }
}

/**
 * Check a value of the file's shape (`BallastConfigInput`) and read its
 * secrets. The environment's overrides are not applied: an embedding program
 * passes its own in `options`. `source` names it in errors.
 */
export const fromUnknown = Effect.fnUntraced(function* (
  input: unknown,
  source = "the configuration",
  options: LoadOptions = {}
): Effect.fn.Return<ResolvedConfig, ConfigError> {
  const overrides = options.overrides ?? []
  const raw = overrides.reduce(Environment.apply, input)
  const origins = new Map(overrides.map(({ from, path }) => [pathText(path), from]))
  const secrets = options.secrets === false ? Secrets.skipped : yield* Secrets.read(raw)
  const decoded = decode(raw)
  if (Result.isFailure(decoded)) {
    const shape = Problems.fromIssue(raw, decoded.failure.issue, (path) => origins.get(path))
    return yield* new ConfigError({ source, problems: [...shape, ...secrets.problems] })
  }
  const config = withDefaults(decoded.success)
  const problems = [
    ...check(config).map((problem): ConfigProblem => {
      const from = origins.get(problem.path)
      return from === undefined ? problem : { ...problem, found: `${problem.found} (from ${from})` }
    }),
    ...secrets.problems
  ]
  return problems.length > 0 ? yield* new ConfigError({ source, problems }) : resolve(config, secrets.reveal)
})

/** What Ballast serves when nobody configured anything: open on 127.0.0.1:8080, models of the simulated provider. */
export const defaultConfig: ResolvedConfig = resolve(
  withDefaults(Schema.decodeSync(Config)({})),
  Secrets.skipped.reveal
)

/**
 * The configuration from `path` (or where it is looked for, see above), with
 * the environment's overrides and its secrets.
 */
export const load = Effect.fnUntraced(function* (
  path: string | undefined,
  options: LoadOptions = {}
): Effect.fn.Return<ResolvedConfig, ConfigError, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const named = path ?? (yield* Environment.configFile)
  const from =
    path !== undefined ? "the command line" : named !== undefined ? Environment.configVariable : "the default"
  const implied = named === undefined && (yield* fs.exists(defaultFile).pipe(Effect.orElseSucceed(() => false)))
  const file = named ?? (implied ? defaultFile : undefined)
  const input = file === undefined ? {} : yield* File.readJson(file, from)
  const environment = yield* Environment.overrides
  return yield* fromUnknown(input, file ?? "the built-in default with the environment's overrides", {
    ...options,
    overrides: [...environment, ...(options.overrides ?? [])]
  })
})

/** `ballast sim`: the simulated provider as an OpenAI-compatible HTTP server. */
import { Effect, Option, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { cannotListen } from "./failure.ts"
import { wholeNumber } from "./flags.ts"

const flags = {
  config: Flag.String("config").pipe(
    Flag.withAlias("c"),
    Flag.optional,
    Flag.withMetavar("FILE"),
    Flag.withDescription("JSON file with the simulated provider's options: speed, limits, faults")
  ),
  host: Flag.String("host").pipe(
    Flag.withDefault("127.0.0.1"),
    Flag.withMetavar("ADDRESS"),
    Flag.withDescription("Address to listen on")
  ),
  port: wholeNumber("port", 0, 65_535).pipe(
    Flag.withAlias("p"),
    Flag.withDefault(9100),
    Flag.withMetavar("PORT"),
    Flag.withDescription("Port to listen on; 0 picks a free one")
  ),
  seed: Flag.Int("seed").pipe(
    Flag.optional,
    Flag.withMetavar("NUMBER"),
    Flag.withDescription("Same seed and same requests: same answers at the same times")
  )
}

/** The options of a file, checked, with the seed of the command line above it. */
const options = Effect.fnUntraced(function* (file: Option.Option<string>, seed: Option.Option<number>) {
  const [{ SimOptions }, File, Problems, { ConfigError }] = yield* Effect.promise(() =>
    Promise.all([
      import("../../layers/provider/sim/options.ts"),
      import("../config/file.ts"),
      import("../config/problems.ts"),
      import("../../domain/config-error.ts")
    ] as const)
  )
  const written = Option.isSome(file) ? yield* File.readJson(file.value, "the command line") : {}
  const isObject = typeof written === "object" && written !== null && !Array.isArray(written)
  const seeded = Option.isSome(seed) && isObject ? { ...written, seed: seed.value } : written
  return yield* Schema.decodeUnknownEffect(SimOptions, { errors: "all", onExcessProperty: "error" })(seeded).pipe(
    Effect.mapError(
      ({ issue }) =>
        new ConfigError({
          source: Option.getOrElse(file, () => "the command line"),
          problems: Problems.fromIssue(seeded, issue)
        })
    )
  )
})

const codeOf = (cause: unknown): string =>
  typeof cause === "object" && cause !== null && "code" in cause && typeof cause.code === "string"
    ? cause.code
    : String(cause)

/** The command. The server itself is only loaded when it runs. */
export const sim = Command.make(
  "sim",
  flags,
  Effect.fnUntraced(function* ({ config, host, port, seed }) {
    const read = yield* options(config, seed)
    const { runSim } = yield* Effect.promise(() => import("../sim.ts"))
    return yield* runSim({ options: read, host, port }).pipe(
      Effect.mapError(({ cause }) => cannotListen({ host, port, code: codeOf(cause) }, "--port"))
    )
  })
).pipe(
  Command.withDescription(
    "Serve the simulated provider over OpenAI's HTTP: seeded answers, rate limits, and faults on a timetable or on command."
  ),
  Command.withShortDescription("Serve a simulated provider"),
  Command.withExamples([
    { command: "ballast sim --port 9100 --seed 7", description: "A healthy provider on http://127.0.0.1:9100/v1" }
  ])
)

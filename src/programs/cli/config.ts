/** `ballast config`: check a configuration, or print what it comes to. */
import { Console, Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { configFlag } from "./flags.ts"

const secrets = Flag.Boolean("secrets").pipe(
  Flag.withDefault(true),
  Flag.withDescription("Read the secrets too; --no-secrets checks a file where its environment variables are not set")
)

const load = Effect.fnUntraced(function* (file: Option.Option<string>, withSecrets: boolean) {
  const Config = yield* Effect.promise(() => import("../config.ts"))
  return yield* Config.load(Option.getOrUndefined(file), { secrets: withSecrets })
})

const count = (many: number, what: string): string => `${many} ${what}${many === 1 ? "" : "s"}`

const check = Command.make(
  "check",
  {
    file: Argument.String("file").pipe(
      Argument.optional,
      Argument.withMetavar("FILE"),
      Argument.withDescription("The file to check; found as serve finds it where missing")
    ),
    secrets
  },
  Effect.fnUntraced(function* ({ file, secrets: withSecrets }) {
    const { auth, models, providers } = yield* load(file, withSecrets)
    const name = Option.getOrElse(file, () => "The configuration")
    yield* Console.log(
      `${name} is valid: ${count(Object.keys(providers).length, "provider")}, ${count(models.length, "model")}, mode ${auth.mode}`
    )
  })
).pipe(
  Command.withDescription("Check a configuration and its secrets; exit 2 and a list of all problems where it is wrong"),
  Command.withShortDescription("Check a configuration")
)

const print = Command.make(
  "print",
  { config: configFlag, secrets },
  Effect.fnUntraced(function* ({ config: file, secrets: withSecrets }) {
    // A redacted value writes itself into JSON as <redacted:NAME>.
    yield* Console.log(JSON.stringify(yield* load(file, withSecrets), undefined, 2))
  })
).pipe(
  Command.withDescription(
    "Print the effective configuration as JSON: defaults, file and environment together; secrets redacted, prices in micro-dollars per million tokens"
  ),
  Command.withShortDescription("Print the effective configuration, secrets redacted")
)

/** The command with its two subcommands. */
export const config = Command.make("config").pipe(
  Command.withDescription("Check or print the configuration"),
  Command.withSubcommands([check, print])
)

/** `ballast serve`: the gateway over HTTP, until it is told to stop. */
import { Console, Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import type { Running } from "../server.ts"
import { banner } from "./banner.ts"
import { cannotListen, CommandError } from "./failure.ts"
import { configFlag, wholeNumber } from "./flags.ts"
import { version } from "./version.ts"

const flags = {
  config: configFlag,
  host: Flag.String("host").pipe(
    Flag.optional,
    Flag.withMetavar("ADDRESS"),
    Flag.withDescription("Address to listen on, instead of server.host")
  ),
  port: wholeNumber("port", 0, 65_535).pipe(
    Flag.withAlias("p"),
    Flag.optional,
    Flag.withMetavar("PORT"),
    Flag.withDescription("Port to listen on, instead of server.port; 0 picks a free one")
  )
}

/** The command. The server itself is only loaded when it runs, so that help is quick. */
export const serve = Command.make(
  "serve",
  flags,
  Effect.fnUntraced(function* ({ config: file, host, port }) {
    const [Config, Server] = yield* Effect.promise(() =>
      Promise.all([import("../config.ts"), import("../server.ts")] as const)
    )
    const config = yield* Config.load(Option.getOrUndefined(file), {
      overrides: [
        ...Option.match(host, {
          onNone: () => [],
          onSome: (value) => [{ path: ["server", "host"] as const, value, from: "--host" }]
        }),
        ...Option.match(port, {
          onNone: () => [],
          onSome: (value) => [{ path: ["server", "port"] as const, value, from: "--port" }]
        })
      ]
    })
    const announce = ({ admin, api }: Running) =>
      Console.error(banner(config, version, { port: api.port, adminPort: admin.port }))
    return yield* Server.serve(config, announce).pipe(
      Effect.catchTag("StoreError", ({ message }) => Effect.fail(new CommandError({ detail: message }))),
      Effect.catchTag("ServeError", ({ reason }) => {
        const isAdmin = reason.port === config.server.adminPort && reason.port !== config.server.port
        const choose = isAdmin ? "BALLAST_ADMIN_PORT or server.adminPort" : "--port, BALLAST_PORT or server.port"
        return Effect.fail(cannotListen(reason, choose))
      })
    )
  })
).pipe(
  Command.withDescription(
    "Serve the OpenAI-compatible gateway. Without a configuration it serves simulated models, to this machine only."
  ),
  Command.withShortDescription("Serve the OpenAI-compatible gateway"),
  Command.withExamples([
    { command: "ballast serve", description: "Simulated models on http://127.0.0.1:8080" },
    { command: "ballast serve --config ballast.config.json --port 9000", description: "Your own configuration" }
  ])
)

#!/usr/bin/env node
/**
 * The command line. Each command loads its program only when it runs, so that
 * help and mistakes answer quickly. Errors go to stderr; see `cli/failure.ts`
 * for exit codes.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect } from "effect"
import { CliConfig, Command, GlobalFlag } from "effect/cli"
import { budget } from "./cli/budget.ts"
import { config } from "./cli/config.ts"
import { demo } from "./cli/demo.ts"
import * as Failure from "./cli/failure.ts"
import { keys } from "./cli/keys.ts"
import { migrate } from "./cli/migrate.ts"
import { serve } from "./cli/serve.ts"
import { sim } from "./cli/sim.ts"
import { simulate } from "./cli/simulate.ts"
import { version } from "./cli/version.ts"

const ballast = Command.make("ballast").pipe(
  Command.withDescription("Keeps LLM features upright: a guarded, OpenAI-compatible gateway."),
  Command.withSubcommands([serve, sim, simulate, config, keys, budget, migrate, demo])
)

const builtIns = CliConfig.layer({
  builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions, GlobalFlag.LogLevel]
})

// The first signal interrupts the program, which drains; whoever sends a second one does not want to wait.
let signals = 0
const hurry = () => {
  if (++signals === 2) process.exit(130)
}
process.on("SIGINT", hurry)
process.on("SIGTERM", hurry)

Command.run(ballast, { version }).pipe(
  Effect.tapCause((cause) => {
    const message = Failure.message(cause)
    return message === undefined ? Effect.void : Console.error(message)
  }),
  Effect.provide([NodeServices.layer, builtIns]),
  NodeRuntime.runMain({ disableErrorReporting: true, teardown: Failure.teardown })
)

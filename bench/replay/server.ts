/**
 * The Ballast server of a replay, in a process of its own: takes the
 * configuration as its one argument, says over IPC where it listens, and drains
 * when its parent asks it to stop.
 */
import { Effect, Fiber } from "effect"
import * as Config from "../../src/programs/config.ts"
import * as Server from "../../src/programs/server.ts"

const program = Effect.flatMap(Config.fromUnknown(JSON.parse(process.argv[2] ?? "{}")), (config) =>
  Server.serve(config, ({ admin, api }) =>
    Effect.sync(() => {
      process.send?.({ api: `http://${api.host}:${api.port}`, metrics: `http://${admin.host}:${admin.port}/metrics` })
    })
  )
)
const fiber = Effect.runFork(program)
fiber.addObserver((exit) => {
  if (exit._tag === "Failure") process.stderr.write(`${String(exit.cause)}\n`)
})
process.once("disconnect", () => {
  void Effect.runPromise(Fiber.interrupt(fiber)).then(() => process.exit(0))
})

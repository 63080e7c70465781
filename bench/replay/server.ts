/**
 * The Ballast server of a replay, in a process of its own: takes the
 * configuration as its one argument, says over IPC where it listens, and drains
 * when its parent asks it to stop.
 */
import { Cause, Effect, Fiber } from "effect"
import * as Config from "../../src/programs/config.ts"
import * as Server from "../../src/programs/server.ts"

const program = Effect.flatMap(Config.fromUnknown(JSON.parse(process.argv[2] ?? "{}")), (config) =>
  Server.serve(config, ({ admin, api }) =>
    Effect.sync(() => {
      process.send?.({ api: `http://${api.host}:${api.port}`, metrics: `http://${admin.host}:${admin.port}/metrics` })
    })
  )
)
let stopping = false
const fiber = Effect.runFork(program)
fiber.addObserver((exit) => {
  if (exit._tag === "Success" || stopping) return
  process.stderr.write(`${Cause.pretty(exit.cause)}\n`)
  process.exit(1)
})
process.once("disconnect", () => {
  stopping = true
  void Effect.runPromise(Fiber.interrupt(fiber)).then(() => process.exit(0))
})

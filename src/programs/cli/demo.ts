/** `ballast demo`: one incident, lived through twice, with naive glue and with Ballast. */
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { wholeNumber } from "./flags.ts"

const flags = {
  requests: wholeNumber("requests", 1, 100_000).pipe(
    Flag.withAlias("n"),
    Flag.withDefault(400),
    Flag.withMetavar("NUMBER"),
    Flag.withDescription("Requests of the recorded traffic to send to each side")
  ),
  seed: Flag.Int("seed").pipe(
    Flag.optional,
    Flag.withMetavar("NUMBER"),
    Flag.withDescription("Another incident; the same seed is the same one")
  ),
  fast: Flag.Boolean("fast").pipe(Flag.withDefault(false), Flag.withDescription("Less traffic in less time")),
  json: Flag.Boolean("json").pipe(Flag.withDefault(false), Flag.withDescription("Print the result as JSON"))
}

/** The command. Its program is only loaded when it runs. */
export const demo = Command.make(
  "demo",
  flags,
  Effect.fnUntraced(function* ({ fast, json, requests, seed }) {
    const Demo = yield* Effect.promise(() => import("../demo.ts"))
    return yield* Demo.demo({ requests, seed: Option.getOrUndefined(seed), fast, json })
  })
).pipe(
  Command.withDescription(
    "Play an incident against a naive client and against Ballast, and compare latency, errors, attempts and cost."
  ),
  Command.withShortDescription("See an incident with and without Ballast")
)

/** `ballast simulate`: a fleet in a storm, in virtual time, from a scenario file. */
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { wholeNumber } from "./flags.ts"

const flags = {
  file: Argument.String("file").pipe(
    Argument.withMetavar("FILE"),
    Argument.withDescription("The scenario: fleet, providers and their faults, traffic, policies to compare")
  ),
  seeds: wholeNumber("seeds", 1, 1_000).pipe(
    Flag.withAlias("n"),
    Flag.withDefault(1),
    Flag.withMetavar("NUMBER"),
    Flag.withDescription("Play the seeds 1 to NUMBER; the table shows the median and the worst")
  ),
  policy: Flag.String("policy").pipe(
    Flag.withAlias("p"),
    Flag.optional,
    Flag.withMetavar("NAME"),
    Flag.withDescription("Play this policy of the scenario alone")
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDefault(false),
    Flag.withDescription("Print one line of JSON for each policy and seed, and nothing else")
  ),
  svg: Flag.String("svg").pipe(
    Flag.optional,
    Flag.withMetavar("FILE"),
    Flag.withDescription("Draw the timeline into this SVG file")
  )
}

/** The command. Its program is only loaded when it runs. */
export const simulate = Command.make(
  "simulate",
  flags,
  Effect.fnUntraced(function* ({ file, json, policy, seeds, svg }) {
    const Simulate = yield* Effect.promise(() => import("../simulate.ts"))
    return yield* Simulate.simulate({
      file,
      seeds,
      policy: Option.getOrUndefined(policy),
      json,
      svg: Option.getOrUndefined(svg)
    })
  })
).pipe(
  Command.withDescription(
    "Play a scenario in virtual time: a fleet of processes with the real guards against simulated providers, one run for each policy and seed. Same file and seed, same result."
  ),
  Command.withShortDescription("See how policies stand a storm, in virtual time"),
  Command.withExamples([
    {
      command: "ballast simulate examples/scenarios/storm.json",
      description: "A capacity loss of ten seconds, with and without a retry budget"
    },
    {
      command: "ballast simulate examples/scenarios/whale.json --seeds 5 --svg whale.svg",
      description: "Five seeds, and a picture"
    }
  ])
)

/**
 * `npm run bench -- proxy`: the whole gateway beside a bare proxy and a peer, on this machine, in this minute.
 * The exit code is 1 when Ballast did not start or a burst of any server failed; a target not met is only printed.
 */
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { USAGE, parseOptions } from "./options.ts"
import type { Options } from "./options.ts"
import { figureLines, report } from "./report.ts"
import { run } from "./run.ts"

const print = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

const say = (line: string): void => {
  process.stderr.write(`${line}\n`)
}

const readOptions = (argv: ReadonlyArray<string>): Options | undefined => {
  try {
    const options = parseOptions(argv)
    if (options === undefined) print(USAGE)
    return options
  } catch (error) {
    say(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`)
    process.exitCode = 2
    return undefined
  }
}

export const main = async (argv: ReadonlyArray<string>): Promise<void> => {
  const options = readOptions(argv)
  if (options === undefined) return
  const { measurements, skipped } = await run(options, say, (measurement) => {
    if (options.json) print(JSON.stringify({ type: "burst", ...measurement }))
    else if (measurement.error !== undefined)
      say(`FAILED ${measurement.kind} ${measurement.peer}: ${measurement.error}`)
  })
  if (options.json) {
    for (const line of figureLines(measurements)) print(JSON.stringify(line))
  } else {
    print(`\n${report(measurements, options.sizes)}`)
    for (const [name, why] of skipped) print(`\n${name} was not measured: ${why}`)
    if (options.quick) print("\n--quick was given: a smoke test, the figures mean nothing")
  }
  if (skipped.has("ballast") || measurements.some((one) => one.error !== undefined)) process.exitCode = 1
}

if (process.argv[1] !== undefined && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(process.argv.slice(2))
}

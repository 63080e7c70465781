/** The flags of `npm run bench -- S9`. */
import { parseArgs } from "node:util"
import { variants } from "./row.ts"
import type { Variant } from "./row.ts"

export interface Options {
  readonly seeds: number
  readonly firstSeed: number
  readonly json: boolean
  readonly quick: boolean
  readonly only: ReadonlyArray<Variant>
}

export const usage = `usage: npm run bench -- S9 [flags]

  --seeds N       how many random draws (5)
  --first-seed N  the first of them (1)
  --only LIST     of ${variants.join(",")}
  --json          one JSON object a line and nothing else
  --quick         smaller loads, for a first look
`

const whole = (flag: string, text: string): number => {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1)
    throw new Error(`--${flag} must be a whole number from 1, not "${text}"`)
  return value
}

/** Undefined when help was asked for. Throws with a message for the user. */
export const parseOptions = (argv: ReadonlyArray<string>): Options | undefined => {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      seeds: { type: "string", default: "5" },
      "first-seed": { type: "string", default: "1" },
      only: { type: "string", default: variants.join(",") },
      json: { type: "boolean", default: false },
      quick: { type: "boolean", default: false },
      help: { type: "boolean", default: false }
    }
  })
  if (values.help) return undefined
  const asked = values.only.split(",").map((each) => each.trim())
  const unknown = asked.find((each) => !variants.some((known) => known === each))
  if (unknown !== undefined) throw new Error(`--only: "${unknown}" is none of ${variants.join(", ")}`)
  return {
    seeds: whole("seeds", values.seeds),
    firstSeed: whole("first-seed", values["first-seed"]),
    json: values.json,
    quick: values.quick,
    only: variants.filter((each) => asked.includes(each))
  }
}

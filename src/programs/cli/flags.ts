/** Flags that several commands share. */
import { Flag } from "effect/cli"

/** `--config FILE`; without it `BALLAST_CONFIG`, `./ballast.config.json` or the built-in default. */
export const configFlag = Flag.String("config").pipe(
  Flag.withAlias("c"),
  Flag.optional,
  Flag.withMetavar("FILE"),
  Flag.withDescription("Configuration; else $BALLAST_CONFIG, ./ballast.config.json, or the built-in default")
)

/** A whole number from `min` to `max`. */
export const wholeNumber = (name: string, min: number, max: number) =>
  Flag.Int(name).pipe(
    Flag.filter(
      (value) => value >= min && value <= max,
      () => `a number between ${min} and ${max}`
    )
  )

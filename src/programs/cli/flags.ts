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

/** `--json`: for programs. */
export const jsonFlag = Flag.Boolean("json").pipe(Flag.withDefault(false), Flag.withDescription("Print JSON"))

/** `--reason TEXT`: mandatory for everything that is written into the audit table. */
export const reasonFlag = Flag.String("reason").pipe(
  Flag.filter(
    (reason) => reason.trim() !== "",
    () => "a reason: it is written into the audit table"
  ),
  Flag.withMetavar("TEXT"),
  Flag.withDescription("Why; it is written into the audit table")
)

/** `--tenant NAME`. */
export const tenantFlag = Flag.String("tenant").pipe(
  Flag.filter(
    (tenant) => tenant !== "",
    () => "a tenant's name"
  ),
  Flag.withMetavar("TENANT"),
  Flag.withDescription("The tenant")
)

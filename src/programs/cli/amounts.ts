/** Durations and amounts of money as people write them on a command line, and back. */
import { Option } from "effect"
import { Flag } from "effect/cli"

const units: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000
}

/** Milliseconds of `30d`, `12h`, `90s` …; nothing for what is no such text, or no whole safe number of ms. */
export const durationMs = (text: string): Option.Option<number> => {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d|w)$/u.exec(text.trim()) ?? []
  if (amount === undefined || unit === undefined) return Option.none()
  const ms = Number(amount) * (units[unit] ?? Number.NaN)
  return Number.isSafeInteger(ms) ? Option.some(ms) : Option.none()
}

/** Micro-dollars of `100`, `0.5`, `$12.50`; nothing for negative amounts, more than six places, or more than is a safe number. */
export const microDollars = (text: string): Option.Option<number> => {
  const [, whole, part = ""] = /^\$?(\d+)(?:\.(\d{1,6}))?$/u.exec(text.trim().replaceAll("_", "")) ?? []
  if (whole === undefined) return Option.none()
  const micro = Number(whole) * 1_000_000 + Number(part.padEnd(6, "0"))
  return Number.isSafeInteger(micro) ? Option.some(micro) : Option.none()
}

/** Dollars of an amount, e.g. `$12.50`; what is smaller than a cent keeps its six places. */
export const dollars = (micro: number): string => {
  const sign = micro < 0 ? "-" : ""
  const size = Math.abs(micro)
  return `${sign}$${(size / 1_000_000).toFixed(size % 10_000 === 0 ? 2 : 6)}`
}

/** A moment as people write it, in UTC and without the milliseconds. */
export const moment = (atMs: number): string => `${new Date(atMs).toISOString().slice(0, 19).replace("T", " ")}Z`

/** A flag that is a duration, in ms. */
export const durationFlag = (name: string) =>
  Flag.String(name).pipe(
    Flag.filterMap(durationMs, (text) => `a duration such as 30d, 12h, 15m or 90s, not '${text}'`),
    Flag.withMetavar("DURATION")
  )

/** A flag that is an amount of money, in micro-dollars. */
export const dollarsFlag = (name: string) =>
  Flag.String(name).pipe(
    Flag.filterMap(microDollars, (text) => `an amount in dollars such as 100 or 12.50, not '${text}'`),
    Flag.withMetavar("DOLLARS")
  )

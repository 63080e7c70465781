/**
 * Budget windows: UTC days and UTC months, by name and in epoch ms.
 */

const dayMs = 86_400_000

/** A window from `fromMs` until before `toMs`. */
export interface Span {
  readonly fromMs: number
  readonly toMs: number
}

/** The UTC day or month of a time, by its name: `d20420`, `m2026-11`. */
export const nameOf = (window: "day" | "month", atMs: number): string => {
  if (window === "day") return `d${Math.floor(atMs / dayMs)}`
  const date = new Date(atMs)
  return `m${date.getUTCFullYear()}-${date.getUTCMonth() + 1}`
}

/** The time of a window by its name. */
export const spanOf = (name: string): Span => {
  if (name.startsWith("d")) {
    const fromMs = Number(name.slice(1)) * dayMs
    return { fromMs, toMs: fromMs + dayMs }
  }
  const [year = 0, month = 1] = name.slice(1).split("-").map(Number)
  return { fromMs: Date.UTC(year, month - 1, 1), toMs: Date.UTC(year, month, 1) }
}

/** How long (ms) counters of a window are kept after it began: past its end by more than any reservation lives. */
export const keptMs = (window: "day" | "month"): number => (window === "day" ? 3 * dayMs : 70 * dayMs)

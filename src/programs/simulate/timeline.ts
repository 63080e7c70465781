/**
 * The timeline as text: a bar for every few seconds, as high as the goodput
 * is of what was offered, a line for each policy, marks below. Fits a terminal.
 */
import type { Panel, Picture, PictureMark } from "./picture.ts"

/** Most bars of a line. */
export const width = 60

const levels = ["_", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"] as const

/** A bar of the share `value / most`; nothing at all where nobody came. An empty bar is really none answered. */
const bar = (value: number, most: number): string => {
  if (most <= 0) return " "
  if (value <= 0) return levels[0]
  const level = Math.min(levels.length - 1, Math.max(1, Math.round((value / most) * (levels.length - 1))))
  return levels[level] ?? levels[0]
}

/** Which steps a mark covers. */
const markLine = (mark: PictureMark, { durationS, stepS }: Picture): string =>
  Array.from({ length: Math.ceil(durationS / stepS) }, (_, step) =>
    mark.fromS < (step + 1) * stepS && step * stepS < mark.toS ? "^" : " "
  ).join("")

/** Seconds below every tenth bar. */
const axis = ({ durationS, stepS }: Picture): string => {
  let line = ""
  for (let step = 0; step * stepS < durationS; step += 10) line = line.padEnd(step) + String(step * stepS)
  return `${line} s`
}

const rate = (value: number): string => (value >= 10 ? value.toFixed(0) : value.toFixed(1))

const mean = (values: ReadonlyArray<number>): number =>
  values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length

const panel = (picture: Picture, { lines, offered, title }: Panel): ReadonlyArray<string> => {
  const indent =
    Math.max(10, ...lines.map(({ name }) => name.length), ...picture.marks.map(({ name }) => name.length)) + 2
  const most = Math.max(...offered, 0)
  const label = (text: string) => text.padEnd(indent)
  return [
    `${title}: visits answered in time, of those offered (${rate(mean(offered))}/s on average), every ${picture.stepS} s`,
    `${label("offered")}${offered.map((value) => bar(value, value > 0 ? most : 0)).join("")}`,
    ...lines.map(
      ({ name, values }) => `${label(name)}${values.map((value, step) => bar(value, offered[step] ?? 0)).join("")}`
    ),
    ...picture.marks.map((mark) => `${label(mark.name)}${markLine(mark, picture)}`.trimEnd()),
    `${label("")}${axis(picture)}`
  ]
}

/** The picture, line by line. */
export const lines = (picture: Picture): ReadonlyArray<string> =>
  picture.panels.flatMap((each, index) => [...(index === 0 ? [] : [""]), ...panel(picture, each)])

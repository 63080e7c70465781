/**
 * The timeline as an SVG picture of its own: no scripts, no external fonts, the
 * same bytes for the same picture. Lines differ in colour and in dash, so that
 * they can be told apart in print and by the colour-blind.
 *
 * Colours: Okabe and Ito, "Color Universal Design" (2008).
 */
import type { Panel, Picture } from "./picture.ts"

const size = { width: 900, left: 64, right: 24, legend: 64, legendRow: 18, panel: 230, gap: 62, bottom: 46 } as const
const plotWidth = size.width - size.left - size.right

const styles = [
  { colour: "#0072B2", dash: "" },
  { colour: "#D55E00", dash: "7 3" },
  { colour: "#009E73", dash: "2 3" },
  { colour: "#CC79A7", dash: "10 3 2 3" },
  { colour: "#56B4E9", dash: "4 2" },
  { colour: "#E69F00", dash: "1 2" }
] as const
const ink = "#222222"
const pale = "#6b6b6b"

const escaped = (text: string): string =>
  text.replace(/[&<>"'\p{Cc}]/gu, (char) => (char < " " || char > "~" ? " " : `&#${char.codePointAt(0)};`))

const at = (value: number): string => (Math.round(value * 10) / 10).toString()

const text = (x: number, y: number, content: string, more = ""): string =>
  `<text x="${at(x)}" y="${at(y)}"${more === "" ? "" : ` ${more}`}>${escaped(content)}</text>`

/** Most steps that a line of the picture can show. */
export const steps = 180

/** A round number at or above `value`, and the step to it: 1, 2 or 5 times a power of ten. */
export const scale = (value: number): { readonly top: number; readonly step: number } => {
  if (!(value > 0)) return { top: 1, step: 0.5 }
  const rough = value / 4
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough * (1 - 1e-9)) ?? 10) * power
  return { top: Math.ceil(value / step - 1e-9) * step, step }
}

const number = (value: number): string => Number(value.toPrecision(6)).toString()

/** Seconds between the ticks of the time axis. */
const tick = (durationS: number): number => {
  const round = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600]
  return round.find((step) => durationS / step <= 12) ?? Math.ceil(durationS / 12)
}

const strokeOf = (index: number): string => {
  const { colour, dash } = styles[index % styles.length] ?? styles[0]
  return `stroke="${colour}" stroke-width="2.5"${dash === "" ? "" : ` stroke-dasharray="${dash}"`}`
}
const offeredStroke = `stroke="${pale}" stroke-width="1.5" stroke-dasharray="3 4"`

const panelOf = (picture: Picture, panel: Panel, top: number): ReadonlyArray<string> => {
  const { durationS, marks, stepS } = picture
  // Room above the highest point, for the names of the marks.
  const room = picture.marks.length > 0 ? 1.15 : 1
  const { step, top: most } = scale(
    room * Math.max(...panel.offered, ...panel.lines.flatMap(({ values }) => values), 0)
  )
  const bottom = top + size.panel
  const x = (seconds: number) => size.left + (Math.min(seconds, durationS) / durationS) * plotWidth
  const y = (value: number) => bottom - (value / most) * size.panel
  const path = (values: ReadonlyArray<number>) =>
    values
      .map((value, index) => {
        const begin = index * stepS
        return `${index === 0 ? "M" : "L"}${at(x((begin + Math.min(begin + stepS, durationS)) / 2))} ${at(y(value))}`
      })
      .join("")
  const out: Array<string> = []
  for (const [index, { fromS, name, toS }] of marks.entries()) {
    const width = Math.max(1, x(toS) - x(fromS))
    out.push(
      `<rect x="${at(x(fromS))}" y="${at(top)}" width="${at(width)}" height="${size.panel}" fill="#f0e442" fill-opacity="0.35"/>`
    )
    // Its name goes to the side where there is room.
    const right = x(toS) < size.left + plotWidth * 0.7
    const anchor = right ? "" : ` text-anchor="end"`
    out.push(
      text(right ? x(toS) + 5 : x(fromS) - 5, top + 15 + 15 * index, name, `font-size="12" fill="${ink}"${anchor}`)
    )
  }
  for (let value = 0; value <= most * 1.000_001; value += step) {
    out.push(
      `<path d="M${size.left} ${at(y(value))}H${size.width - size.right}" stroke="${value === 0 ? ink : "#dddddd"}" stroke-width="1"/>`,
      text(size.left - 8, y(value) + 4, number(value), `text-anchor="end" font-size="12" fill="${pale}"`)
    )
  }
  for (let seconds = 0; seconds <= durationS; seconds += tick(durationS)) {
    out.push(
      `<path d="M${at(x(seconds))} ${at(bottom)}v5" stroke="${ink}" stroke-width="1"/>`,
      text(x(seconds), bottom + 18, number(seconds), `text-anchor="middle" font-size="12" fill="${pale}"`)
    )
  }
  out.push(
    text(size.left, top - 10, panel.title, `font-size="14" font-weight="bold" fill="${ink}"`),
    text(size.left + plotWidth / 2, bottom + 36, "seconds", `text-anchor="middle" font-size="12" fill="${ink}"`),
    text(
      0,
      0,
      "visits per second",
      `text-anchor="middle" font-size="12" fill="${ink}" transform="translate(16 ${at(top + size.panel / 2)}) rotate(-90)"`
    ),
    `<path d="${path(panel.offered)}" fill="none" ${offeredStroke}/>`
  )
  // The first line is drawn last, above the others.
  for (const [index, { values }] of [...panel.lines.entries()].toReversed()) {
    out.push(`<path d="${path(values)}" fill="none" stroke-linejoin="round" ${strokeOf(index)}/>`)
  }
  return out
}

/** An entry of the legend, where it stands. */
interface LegendEntry {
  readonly name: string
  readonly stroke: string
  readonly x: number
  readonly row: number
}

/** The legend: each policy, then what was offered. Names are given 7.5 px a letter; a full row is followed by another. */
const legendOf = (names: ReadonlyArray<string>): ReadonlyArray<LegendEntry> => {
  const entries: Array<LegendEntry> = []
  let x: number = size.left
  let row = 0
  for (const [index, name] of [...names, "offered"].entries()) {
    const width = 60 + name.length * 7.5
    if (x > size.left && x + width > size.width) {
      x = size.left
      row++
    }
    entries.push({ name, stroke: index < names.length ? strokeOf(index) : offeredStroke, x, row })
    x += width
  }
  return entries
}

const legend = (entries: ReadonlyArray<LegendEntry>): ReadonlyArray<string> =>
  entries.flatMap(({ name, row, stroke, x }) => {
    const y = size.legend + row * size.legendRow
    return [
      `<path d="M${at(x)} ${at(y - 4)}h30" fill="none" ${stroke}/>`,
      text(x + 36, y, name, `font-size="13" fill="${ink}"`)
    ]
  })

const sum = (values: ReadonlyArray<number>): number => values.reduce((total, value) => total + value, 0)

/** What a reader who cannot see the picture should know: each policy's mean goodput. */
const description = ({ panels, subtitle }: Picture): string =>
  [
    subtitle,
    ...panels.map(({ lines, offered, title }) => {
      const shares = lines.map(
        ({ name, values }) => `${name} ${((100 * sum(values)) / Math.max(1e-9, sum(offered))).toFixed(0)} %`
      )
      return `${title}: answered in time ${shares.join(", ")}.`
    })
  ].join(" ")

/** The picture as the text of an SVG file. */
export const draw = (picture: Picture): string => {
  const { panels, subtitle, title } = picture
  const entries = legendOf(panels[0]?.lines.map(({ name }) => name) ?? [])
  const top = size.legend + (1 + Math.max(0, ...entries.map(({ row }) => row))) * size.legendRow + 22
  const height = top + panels.length * size.panel + Math.max(0, panels.length - 1) * size.gap + size.bottom
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${height}" role="img" aria-labelledby="title desc" font-family="system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif">`,
    `<title id="title">${escaped(title)}</title>`,
    `<desc id="desc">${escaped(description(picture))}</desc>`,
    `<rect width="${size.width}" height="${height}" fill="#ffffff"/>`,
    text(16, 24, title, `font-size="17" font-weight="bold" fill="${ink}"`),
    text(16, 42, subtitle, `font-size="12" fill="${pale}"`),
    ...legend(entries),
    ...panels.flatMap((panel, index) => panelOf(picture, panel, top + index * (size.panel + size.gap))),
    "</svg>"
  ].join("\n")}\n`
}

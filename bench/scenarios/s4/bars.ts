/**
 * A picture of who was served: a row of bars for each policy, a bar for each
 * tenant, as high as the share of its requests that were answered in time. The
 * dashed outline is what max-min fairness would give it.
 *
 * Colours: Okabe and Ito, "Color Universal Design" (2008).
 */
import type { Share } from "./shares.ts"

/** One policy's tenants, in the order of their bars. */
export interface Row {
  readonly policy: string
  readonly shares: ReadonlyArray<Share>
}

const width = 900
const left = 64
const right = 24
const top = 70
const rowHeight = 150
const gap = 52
const ink = "#222222"
const pale = "#6b6b6b"

const at = (value: number): string => (Math.round(value * 10) / 10).toString()

const escaped = (text: string): string => text.replace(/[&<>"']/gu, (char) => `&#${char.codePointAt(0)};`)

const text = (x: number, y: number, content: string, more: string): string =>
  `<text x="${at(x)}" y="${at(y)}" ${more}>${escaped(content)}</text>`

/** The share of a tenant's requests that its fair share of the work would answer. */
const fairShare = ({ asked, fair }: Share): number => (asked === 0 ? 1 : Math.min(1, fair / asked))

const success = ({ good, requests }: Share): number => (requests === 0 ? 1 : good / requests)

const rowOf = ({ policy, shares }: Row, whale: string, y: number): ReadonlyArray<string> => {
  const bottom = y + rowHeight
  const slot = (width - left - right) / Math.max(1, shares.length)
  const bar = slot * 0.72
  const height = (share: number) => share * rowHeight
  const grid = [0, 0.25, 0.5, 0.75, 1].flatMap((share) => [
    `<path d="M${left} ${at(bottom - height(share))}H${width - right}" stroke="${share === 0 ? ink : "#dddddd"}"/>`,
    text(left - 8, bottom - height(share) + 4, `${share * 100} %`, `text-anchor="end" font-size="12" fill="${pale}"`)
  ])
  const bars = shares.flatMap((share, index) => {
    const x = left + slot * index + (slot - bar) / 2
    const isWhale = share.tenant === whale
    const served = height(success(share))
    const fair = height(fairShare(share))
    return [
      `<rect x="${at(x)}" y="${at(bottom - served)}" width="${at(bar)}" height="${at(served)}" fill="${isWhale ? "#D55E00" : "#0072B2"}"/>`,
      `<rect x="${at(x)}" y="${at(bottom - fair)}" width="${at(bar)}" height="${at(fair)}" fill="none" stroke="${ink}" stroke-dasharray="3 2"/>`,
      // Names of many tenants would not be legible.
      ...(shares.length <= 30
        ? [
            text(
              x + bar / 2,
              bottom + 15,
              isWhale ? "whale" : share.tenant.replace(/^small-/u, ""),
              `text-anchor="middle" font-size="11" fill="${pale}"`
            )
          ]
        : [])
    ]
  })
  return [text(left, y - 10, policy, `font-size="14" font-weight="bold" fill="${ink}"`), ...grid, ...bars]
}

/** The picture as the text of an SVG file. */
export const draw = (title: string, subtitle: string, whale: string, rows: ReadonlyArray<Row>): string => {
  const height = top + rows.length * (rowHeight + gap)
  const spoken = rows.map(({ policy, shares }) => {
    const others = shares.filter(({ tenant }) => tenant !== whale)
    const sum = (field: "good" | "requests") => others.reduce((total, share) => total + share[field], 0)
    return `${policy} answered ${((100 * sum("good")) / Math.max(1, sum("requests"))).toFixed(0)} % of the small tenants' requests`
  })
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="title desc" font-family="system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif">`,
    `<title id="title">${escaped(title)}</title>`,
    `<desc id="desc">${escaped(`${subtitle} ${spoken.join("; ")}.`)}</desc>`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    text(16, 24, title, `font-size="17" font-weight="bold" fill="${ink}"`),
    text(16, 42, subtitle, `font-size="12" fill="${pale}"`),
    ...rows.flatMap((row, index) => rowOf(row, whale, top + index * (rowHeight + gap))),
    "</svg>"
  ].join("\n")}\n`
}

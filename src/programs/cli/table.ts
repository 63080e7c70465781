/** Tables for people: columns as wide as what is in them, numbers to the right. */

/** One column: its heading, and whether its cells are set to the right. */
export interface Column {
  readonly title: string
  readonly right?: boolean
}

/** The lines of a table. Cells have no control characters when they leave here: names come from outside. */
export const table = (columns: ReadonlyArray<Column>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const cells = rows.map((row) => columns.map((_, i) => plain(row[i] ?? "")))
  const widths = columns.map(({ title }, i) =>
    cells.reduce((widest, row) => Math.max(widest, row[i]?.length ?? 0), title.length)
  )
  const line = (row: ReadonlyArray<string>) =>
    row
      .map((cell, i) => (columns[i]?.right === true ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join("  ")
      .trimEnd()
  return [line(columns.map(({ title }) => title)), ...cells.map(line)].join("\n")
}

/** A cell without what would move the terminal's cursor or colour it. */
const plain = (cell: string): string => cell.replace(/\p{Cc}/gu, "\u{fffd}")

/**
 * What a process of a scenario writes down while it runs: one line of JSON for each event, written to the file before
 * the process goes on, so that a SIGKILL loses nothing that has happened.
 */
import * as fs from "node:fs"

/** A journal that is being written. */
export interface Journal<E> {
  readonly write: (event: E) => void
}

/** Begin a journal. */
export const open = <E>(file: string): Journal<E> => {
  const to = fs.openSync(file, "a")
  return { write: (event) => void fs.writeSync(to, `${JSON.stringify(event)}\n`) }
}

/** All events of a journal; the last line of a killed process may be torn, and then did not happen. */
export const read = <E>(file: string): ReadonlyArray<E> => {
  if (!fs.existsSync(file)) return []
  const text = fs.readFileSync(file, "utf8")
  return text
    .slice(0, text.lastIndexOf("\n") + 1)
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as E)
}

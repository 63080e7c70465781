/** The incident demo; its program is still to be written. */
import { Effect } from "effect"

/** What `ballast demo` is asked for. */
export interface DemoOptions {
  readonly requests: number
  readonly seed: number | undefined
  readonly fast: boolean
  readonly json: boolean
}

/** Run the demo and print its result. */
export const demo = (_options: DemoOptions): Effect.Effect<void, Error> =>
  Effect.fail(new Error("The demo is not part of this build yet."))

/**
 * Request and reply over the IPC channel between the bench and its children. A command is `{ id, op, input }`; the
 * answer carries the same id and either `value` or `error`.
 */
export interface Command {
  readonly id: number
  readonly op: string
  readonly input?: unknown
}

export interface Answer {
  readonly id: number
  readonly value?: unknown
  readonly error?: string
}

const reply = (answer: Answer): void => {
  process.send?.(answer)
}

/** The child's side: answers commands by name and ends the process when the parent is gone. */
export const serveParent = (handlers: Readonly<Record<string, (input: never) => unknown>>): void => {
  process.on("disconnect", () => process.exit(0))
  process.on("message", (message) => {
    const { id, input, op } = message as Command
    const handler = handlers[op]
    if (handler === undefined) return
    new Promise((resolve) => resolve(handler(input as never))).then(
      (value) => reply({ id, value }),
      (error: unknown) => reply({ id, error: String(error) })
    )
  })
}

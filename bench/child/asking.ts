/** The bench's side of the IPC channel: questions to a child, each with its one answer. */
import type { ChildProcess } from "node:child_process"
import type { Answer } from "./ipc.ts"

export interface Asking {
  readonly ask: <A>(op: string, input?: unknown) => Promise<A>
  /** The child has ended, `how`: nobody will answer any more. */
  readonly end: (how: string) => void
}

/** Ask `child`, called `name` in errors; an answer that takes longer than `timeoutMs` is none. */
export const of = (child: ChildProcess, name: string, timeoutMs: number): Asking => {
  let ended: string | undefined
  let lastId = 0
  const waiting = new Map<number, (answer: Answer) => void>()
  child.on("message", (message) => {
    const answer = message as Answer
    waiting.get(answer.id)?.(answer)
  })
  return {
    ask: <A>(op: string, input?: unknown): Promise<A> =>
      new Promise<A>((resolve, reject) => {
        if (ended !== undefined) return reject(new Error(`${name} ${ended}`))
        const id = ++lastId
        const settle = ({ error, value }: Answer): void => {
          clearTimeout(timer)
          waiting.delete(id)
          if (error === undefined) resolve(value as A)
          else reject(new Error(error))
        }
        const timer = setTimeout(() => settle({ id, error: `${name} gave no answer to ${op}` }), timeoutMs)
        waiting.set(id, settle)
        child.send({ id, op, input }, (error) => {
          if (error !== null) settle({ id, error: error.message })
        })
      }),
    end: (how) => {
      ended ??= how
      for (const [id, settle] of waiting) settle({ id, error: `${name} ${how}` })
    }
  }
}

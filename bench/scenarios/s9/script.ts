/**
 * What a request tells the upstream to do with it. The script travels inside the prompt, so that it passes any server
 * between a client and the upstream, and its id joins what the client saw with what the upstream saw.
 */

export interface Script {
  readonly id: string
  /** From the request to the head of the answer. */
  readonly headMs: number
  /** From the head to the first chunk; of an answer that is not streamed, to the second half of its body. */
  readonly firstMs: number
  /** Between two chunks. */
  readonly gapMs: number
  readonly chunks: number
  /** Length of a chunk's text, or of the text of an answer that is not streamed. */
  readonly chars: number
  /** Chunks go out as fast as the connection takes them. */
  readonly flood?: boolean
  /** From here on the upstream says nothing more, and keeps the connection: before the head, or after so many chunks. */
  readonly silent?: "head" | number
}

/** What the upstream saw of one call, in ms on the shared clock. */
export interface CallRecord {
  readonly id: string
  readonly streamed: boolean
  readonly startedAt: number
  /** When each chunk was written; only the first and the last of a flood. */
  readonly writes: ReadonlyArray<number>
  readonly chunks: number
  readonly bytes: number
  /** Since when the connection has taken nothing more, of a call that is not over. */
  readonly blockedAt: number | undefined
  readonly endedAt: number | undefined
  /** `done`: to its own end; `gone`: the other side closed the connection. */
  readonly how: "done" | "gone" | undefined
}

const mark = "s9 "

/** The body of a request that carries the script. */
export const requestOf = (model: string, stream: boolean, script: Script): string =>
  JSON.stringify({
    model,
    messages: [{ role: "user", content: mark + JSON.stringify(script) }],
    max_tokens: 256,
    ...(stream ? { stream: true } : {})
  })

/** The script of a body that reached the upstream, and whether a stream was asked for. */
export const parse = (body: string): { readonly script: Script; readonly stream: boolean } => {
  const request = JSON.parse(body) as { stream?: boolean; messages: ReadonlyArray<{ content: string }> }
  const content = request.messages[0]?.content ?? ""
  if (!content.startsWith(mark)) throw new Error(`no script in ${content.slice(0, 80)}`)
  return { script: JSON.parse(content.slice(mark.length)) as Script, stream: request.stream === true }
}

const padding = "the quick brown fox jumps over the lazy dog and then writes a short report about it; "

/** `chars` of text that begins with a number, so that a reader sees whether one is missing. */
export const textOf = (index: number, chars: number): string => {
  const head = `#${index} `
  const length = Math.max(chars, head.length)
  return (head + padding.repeat(Math.ceil(length / padding.length))).slice(0, length)
}

/** The number a text begins with. */
export const indexOf = (text: string): number => Number(/^#(\d+) /.exec(text)?.[1] ?? Number.NaN)

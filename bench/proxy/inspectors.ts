/**
 * What makes a reply complete. A whole reply must be closed JSON with the mock's mark and its usage, a stream must
 * carry every chunk, the finish reason and the terminator. The first whole reply of a connection is parsed in full.
 */
import type { Inspector } from "./http-client.ts"
import { REPLY_MARK } from "./workload.ts"

export const wholeReply = (): Inspector => {
  let body = ""
  let parsed = false
  const parse = (): string | undefined => {
    parsed = true
    try {
      const value = JSON.parse(body) as {
        readonly object?: unknown
        readonly usage?: { readonly total_tokens?: unknown }
      }
      return value.object === "chat.completion" && value.usage?.total_tokens === 340
        ? undefined
        : "not the mock's reply"
    } catch {
      return "reply is not JSON"
    }
  }
  return {
    reset: () => {
      body = ""
    },
    text: (part) => {
      body += part
    },
    verdict: () => {
      if (!body.includes(REPLY_MARK) || !body.includes('"total_tokens"') || !body.trimEnd().endsWith("}")) {
        return `reply is incomplete: ${body.slice(0, 200)}`
      }
      return parsed ? undefined : parse()
    }
  }
}

// Counts a token in text that arrives in pieces cut anywhere.
const counter = (token: string): { count: number; add: (part: string) => void; reset: () => void } => {
  let carry = ""
  const self = {
    count: 0,
    add: (part: string): void => {
      const text = carry + part
      for (let at = text.indexOf(token); at >= 0; at = text.indexOf(token, at + token.length)) self.count++
      carry = text.slice(Math.max(0, text.length - token.length + 1))
    },
    reset: (): void => {
      carry = ""
      self.count = 0
    }
  }
  return self
}

/** Wants `chunks` content events; `onFirst` is called when the first event of a stream has begun to arrive. */
export const streamedReply = (chunks: number, onFirst: () => void): Inspector => {
  const content = counter('"content":"twenty')
  const finish = counter('"finish_reason":"stop"')
  const terminator = counter("[DONE]")
  let started = false
  let head = ""
  const counters = [content, finish, terminator]
  return {
    reset: () => {
      started = false
      head = ""
      for (const one of counters) one.reset()
    },
    text: (part) => {
      if (head.length < 200) head += part
      for (const one of counters) one.add(part)
      if (!started && content.count > 0) {
        started = true
        onFirst()
      }
    },
    verdict: () =>
      content.count === chunks && finish.count === 1 && terminator.count === 1
        ? undefined
        : `stream is incomplete: ${content.count} of ${chunks} chunks, ${finish.count} finish, ${terminator.count} terminator: ${head.slice(0, 200)}`
  }
}

/**
 * What Redis says when it says no, as reasons of `StoreError`. Only the first
 * word of a message decides, and only known texts are passed on: a message may
 * quote what was sent.
 */
import { StoreError } from "../../domain/errors.ts"

/** Errors of the connection and of the server's state: the store's own fault, which its health counts. */
const away = /^(LOADING|CLUSTERDOWN|MASTERDOWN|TRYAGAIN|NOAUTH|WRONGPASS|NOPERM|NOREPLICAS)\b/u

/** The reason of an error that ioredis or Redis gave. */
export const reasonOf = (error: Error): StoreError["reason"] => {
  const { message, name } = error
  const word = /^[A-Z]+/u.exec(message)?.[0] ?? name
  if (away.test(message)) return { _tag: "Unavailable", detail: word }
  if (message.startsWith("READONLY")) return { _tag: "ReadOnly", detail: word }
  if (message.startsWith("OOM") || message.startsWith("MISCONF")) return { _tag: "Full", detail: word }
  if (name === "ReplyError" || message.startsWith("ERR") || message.startsWith("WRONGTYPE")) {
    return { _tag: "Script", detail: message.split(/[\r\n]/u, 1)[0]!.slice(0, 160) }
  }
  return { _tag: "Unavailable", detail: "the connection is down" }
}

/** The error of a command that failed so. */
export const errorOf = (error: Error): StoreError => new StoreError({ store: "redis", reason: reasonOf(error) })

/** The error of a command that was not answered in time. */
export const timedOut = (afterMs: number): StoreError =>
  new StoreError({ store: "redis", reason: { _tag: "Timeout", afterMs } })

/** Whether the store itself is in trouble, so that it is better left alone for a while. */
export const isTrouble = ({ reason }: StoreError): boolean =>
  reason._tag === "Unavailable" || reason._tag === "Timeout" || reason._tag === "ReadOnly" || reason._tag === "Full"

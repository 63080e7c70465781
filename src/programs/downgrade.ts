/**
 * Admission, and what a caller gets near the end of its budget where its plan
 * says so: the model's smaller one, and of the conversation what fits into a
 * shorter context. Better than the refusal that would follow soon.
 */
import { Effect } from "effect"
import type { Model } from "../domain/catalog.ts"
import type { ChatMessage, ChatRequest } from "../domain/chat.ts"
import type { CompleteError } from "../domain/errors.ts"
import { degrade } from "../services/request-record.ts"
import type { Account } from "./account.ts"
import * as Admission from "./admission.ts"
import * as Ask from "./ask.ts"
import type { Request } from "./request.ts"
import * as Sizing from "./sizing.ts"
import type { Size } from "./sizing.ts"

/** What goes on: under which account, to which model, with what. */
export interface Begun {
  readonly account: Account
  readonly model: Model
  readonly written: Ask.Ask
}

/** Let a chat request in as it was written, or a lesser one in its place. Only inside an uninterruptible region. */
export const admit = (
  request: Request,
  model: Model,
  written: Ask.Ask,
  size: Size
): Effect.Effect<Begun, CompleteError> =>
  Effect.matchEffect(Admission.chat(request, model, written.chat, size), {
    onSuccess: (account) => {
      const begun: Begun = { account, model, written }
      if (account.budget.advice === "full") return Effect.succeed(begun)
      const lesser = lesserOf(request, model, written.chat)
      if (lesser === undefined) return Effect.succeed(begun)
      // What was set aside for the larger model covers the smaller one.
      return Effect.map(Sizing.fit(request, lesser.model, lesser.chat), (fits) => {
        told(request, lesser.model)
        return { account, model: lesser.model, written: Ask.make(lesser.chat, undefined, fits) }
      })
    },
    onFailure: (error) => {
      const forMoney = error._tag === "BudgetError" && error.reason._tag !== "Unavailable"
      const lesser = forMoney ? lesserOf(request, model, written.chat) : undefined
      if (lesser === undefined) return Effect.fail(error)
      return Effect.flatMap(Sizing.fit(request, lesser.model, lesser.chat), (fits) =>
        Effect.map(Admission.chat(request, lesser.model, lesser.chat, fits), (account) => {
          told(request, lesser.model)
          return { account, model: lesser.model, written: Ask.make(lesser.chat, undefined, fits) }
        })
      )
    }
  })

const told = ({ record }: Request, { alias }: Model): void => {
  record.answeredBy = alias
  degrade(record, "smaller-model", "budget")
}

const lesserOf = (
  { brownout, budget, record: { caller }, tokens }: Request,
  model: Model,
  chat: ChatRequest
): { readonly model: Model; readonly chat: ChatRequest } | undefined => {
  const downgrade = budget.downgrade(caller)
  const smaller = downgrade === undefined ? undefined : brownout.smaller(model, caller)
  if (downgrade === undefined || smaller === undefined) return undefined
  const fits = (messages: ReadonlyArray<ChatMessage>) =>
    tokens.estimate(smaller.alias, { ...chat, messages: [...messages] }) <= downgrade.maxInputTokens
  const messages = latest(chat.messages, fits)
  return {
    model: smaller,
    chat: messages.length === chat.messages.length ? chat : { ...chat, messages: [...messages] }
  }
}

/**
 * The latest messages of a conversation that fit: whole turns, each a user's
 * message and all that came of it, since a tool's result without its call is an
 * error at every provider. What stands before the first turn (the system's
 * words), and the last turn, stay in any case.
 */
export const latest = (
  messages: ReadonlyArray<ChatMessage>,
  fits: (messages: ReadonlyArray<ChatMessage>) => boolean
): ReadonlyArray<ChatMessage> => {
  const begins = messages.flatMap(({ role }, index) => (role === "user" ? [index] : []))
  const head = messages.slice(0, begins[0] ?? messages.length)
  for (const begin of begins) {
    const kept = [...head, ...messages.slice(begin)]
    if (fits(kept)) return kept
  }
  return [...head, ...messages.slice(begins.at(-1) ?? messages.length)]
}

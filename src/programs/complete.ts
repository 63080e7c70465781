/**
 * The life of a chat request, top to bottom. Each line names a service that
 * has a file of its own in `src/services`; the layers behind them are chosen
 * in `ballast.ts`, or by whoever embeds this.
 */
import { Effect, Exit } from "effect"
import type { ChatRequest } from "../domain/chat.ts"
import type { CompleteError } from "../domain/errors.ts"
import type { Completion } from "../services/provider.ts"
import * as Ask from "./ask.ts"
import * as Candidates from "./candidates.ts"
import * as Collecting from "./collecting.ts"
import type { Requirements } from "./guards.ts"
import * as Downgrade from "./downgrade.ts"
import * as Ladder from "./ladder.ts"
import * as Metering from "./metering.ts"
import * as Request from "./request.ts"
import * as Sizing from "./sizing.ts"

/**
 * Answer a chat request under all guards.
 *
 * Succeeds when the first token (or the whole answer, where `chat.stream` is
 * not set) is here: the commit point. Before it, failures are retried and sent
 * elsewhere, and what cannot be had in full may be had in part (`degraded` of
 * the result); after it, a failure is the stream's own. The scope holds the
 * permits and the upstream connection: close it and the call is aborted.
 *
 * `body` is the JSON text that `chat` was parsed from, where there is one; it
 * is forwarded as it is when nothing has to be changed.
 */
export const complete = (chat: ChatRequest, body?: string): Effect.Effect<Completion, CompleteError, Requirements> =>
  Request.run("chat", (request) => life(request, chat, body))

const life = Effect.fnUntraced(function* (request: Request.Request, chat: ChatRequest, body: string | undefined) {
  const { brownout, catalog, killSwitch, record, retryBudget, router } = request
  const { caller } = record
  yield* killSwitch.check({ tenant: caller.tenant, feature: caller.feature, model: chat.model })
  const asked = yield* catalog.resolve(chat.model, "chat")
  const size = yield* Sizing.ofChat(request, asked, chat)
  const { account, model, written } = yield* Downgrade.admit(request, asked, Ask.make(chat, body, size), size)
  const candidates = yield* router.route(model, caller)
  const ask =
    brownout.shorter === undefined ? written : yield* Ask.underPressure(request, model, candidates[0], written)
  const asking = Collecting.over(request, model, ask)
  const answered = yield* Effect.exit(Candidates.firstToAnswer(asking, candidates, ask.tokens, Ask.call(asking, ask)))
  if (Exit.isFailure(answered)) return yield* Ladder.descend(request, model, account, chat, ask, answered.cause)
  retryBudget.deposit()
  return Metering.meter(request, model, account, answered.value, ask.shortened)
})

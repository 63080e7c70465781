/**
 * The life of an embedding request: the same guards as `complete`, in the same
 * order, around a call that answers in one piece.
 */
import { Effect } from "effect"
import * as Catalog from "../domain/catalog.ts"
import type { EmbeddingRequest } from "../domain/embedding.ts"
import type { CompleteError } from "../domain/errors.ts"
import * as Usage from "../domain/usage.ts"
import type { Embedded } from "../services/provider.ts"
import * as Admission from "./admission.ts"
import * as Candidates from "./candidates.ts"
import type { Requirements } from "./guards.ts"
import * as Request from "./request.ts"
import * as Sizing from "./sizing.ts"

/** Embed texts under all guards. `body` is the JSON text that `embedding` was parsed from, where there is one. */
export const embed = (
  embedding: EmbeddingRequest,
  body?: string
): Effect.Effect<Embedded, CompleteError, Requirements> =>
  Request.run("embeddings", (request) => life(request, embedding, body))

const life = Effect.fnUntraced(function* (
  request: Request.Request,
  embedding: EmbeddingRequest,
  body: string | undefined
) {
  const { catalog, killSwitch, provider, record, retryBudget, router } = request
  const { caller } = record
  yield* killSwitch.check({ tenant: caller.tenant, feature: caller.feature, model: embedding.model })
  const model = yield* catalog.resolve(embedding.model, "embedding")
  const tokens = Sizing.ofEmbedding(request, model, embedding)
  const account = yield* Admission.enter(request, model, { input: tokens, output: 0 }, 0, true)
  const candidates = yield* router.route(model, caller)
  const { answer, pace, permit, tookMs } = yield* Candidates.firstToAnswer(
    request,
    candidates,
    tokens,
    (candidate, bounds) =>
      provider.embed(candidate, {
        embedding,
        body,
        deadlineMs: request.deadline.atMs,
        bounds,
        traceparent: Request.traceparent(record)
      })
  )
  retryBudget.deposit()
  const usage = Usage.make(answer.response.usage.prompt_tokens, 0)
  Request.answered(request, answer.candidate, usage, Catalog.cost(model.price, usage))
  account.settle(record)
  permit.settle(usage.prompt_tokens)
  pace.settle(usage.prompt_tokens)
  permit.answered(usage.prompt_tokens, tookMs)
  return answer
})

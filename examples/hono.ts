/**
 * Ballast inside a web framework that knows nothing of Effect. Run it:
 *
 *     node examples/hono.ts
 *     curl -N localhost:3000/chat -d '{"user":"ada","message":"Hello"}'
 *
 * One `ManagedRuntime` for the whole process: limits, breakers and queues only
 * work when all requests share them.
 */
import { serve } from "@hono/node-server"
import { Cause, Effect, Exit, Layer, ManagedRuntime, Option, Scope, Stream } from "effect"
import { Hono } from "hono"
// In your own program: from "ballast"
import {
  Ballast,
  Caller,
  Config,
  CurrentCaller,
  complete,
  errorBody,
  events,
  retryAfterMs,
  rowOf
} from "../src/index.ts"
import type { CompleteError, CompletionEvent } from "../src/index.ts"

const runtime = ManagedRuntime.make(Layer.orDie(Ballast.layer(Config.defaultConfig)))
const app = new Hono()

app.post("/chat", async (c) => {
  const { message, user } = await c.req.json<{ readonly message: string; readonly user: string }>()
  // What the answer holds lives in this scope; the end of the response closes it.
  const scope = Scope.makeUnsafe()
  const exit = await runtime.runPromiseExit(
    complete({ model: "gpt-4o-mini", messages: [{ role: "user", content: message }], stream: true }).pipe(
      Effect.provideService(CurrentCaller, Caller.make("acme", { user })),
      Scope.provide(scope)
    ),
    // A client who leaves before the first token interrupts the request, and its call at the provider with it.
    { signal: c.req.raw.signal }
  )
  if (Exit.isFailure(exit)) {
    await runtime.runPromise(Scope.close(scope, exit))
    const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
    return error === undefined ? c.text("", 500) : refusal(error)
  }
  const text = events(exit.value).pipe(
    Stream.map(textOf),
    Stream.encodeText,
    // Read to its end, broken, or cancelled because the client left: all is given back.
    Stream.onExit((end) => Scope.close(scope, end))
  )
  const body = Stream.toReadableStreamWith(text, await runtime.context(), { signal: c.req.raw.signal })
  return new Response(body, { headers: { "content-type": "text/plain; charset=utf-8" } })
})

const textOf = (event: CompletionEvent): string =>
  event._tag === "Chunk" ? (event.chunk.choices[0]?.delta.content ?? "") : ""

/** Status, body and retry advice that OpenAI's clients understand; use your own if you have some. */
const refusal = (error: CompleteError): Response => {
  const pauseMs = retryAfterMs(error)
  return Response.json(errorBody(error), {
    status: rowOf(error).status,
    headers: pauseMs === undefined ? {} : { "retry-after": String(Math.ceil(pauseMs / 1000)) }
  })
}

const server = serve({ fetch: app.fetch, port: Number(process.env["PORT"] ?? 3000) }, ({ port }) =>
  console.log(`listening on http://localhost:${port}`)
)

process.once("SIGTERM", () => {
  server.close(() => void runtime.dispose())
})

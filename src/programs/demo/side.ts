/**
 * One side of the demo: the users of the recorded traffic, who ask whatever
 * happens (an open loop), wait as long as their patience lasts, and leave.
 */
import { Cause, Clock, Effect, Exit, Fiber, Option, Result } from "effect"
import type { Scope } from "effect"
import type { Ask } from "./clients.ts"
import type { Scenario } from "./scenario.ts"
import { refusedWithinMs } from "./tally.ts"
import type { Tally } from "./tally.ts"
import type { Visit } from "./traffic.ts"

/**
 * Play the traffic of `scenario` to `ask`; ends when the last user has their
 * answer or has left. What the application still does for users who left goes
 * on until the scope closes.
 */
export const play = Effect.fnUntraced(function* (
  scenario: Scenario,
  ask: Ask,
  tally: Tally
): Effect.fn.Return<void, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const scope = yield* Effect.scope
  const startedAt = clock.currentTimeMillisUnsafe()

  const user = Effect.fnUntraced(function* (visit: Visit) {
    const askedAt = clock.currentTimeMillisUnsafe()
    const elapsed = () => clock.currentTimeMillisUnsafe() - askedAt
    let gone = false
    let seen = false
    const onFirstToken = () => {
      if (gone || seen) return
      seen = true
      tally.firstToken(elapsed())
    }
    tally.ask()
    const work = yield* Effect.forkIn(ask(visit, onFirstToken), scope, { startImmediately: true })
    const exit = yield* Effect.timeoutOption(Fiber.await(work), scenario.patienceMs)
    gone = true
    if (Option.isNone(exit)) tally.end(visit, "left", elapsed())
    else if (Exit.isSuccess(exit.value)) tally.end(visit, "answered", elapsed())
    else {
      const error = Cause.findError(exit.value.cause)
      const code = Result.isSuccess(error) ? error.success.code : "interrupted"
      tally.end(visit, elapsed() <= refusedWithinMs ? "refused" : "failed", elapsed(), code)
    }
  })

  const users: Array<Fiber.Fiber<void>> = []
  for (const visit of scenario.visits) {
    yield* Effect.sleep(Math.max(0, startedAt + visit.atMs - clock.currentTimeMillisUnsafe()))
    users.push(yield* Effect.forkIn(user(visit), scope, { startImmediately: true }))
  }
  yield* Fiber.joinAll(users)
})

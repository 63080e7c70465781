/** What every layer of the Leases port must do, in real time. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scheduler, Scope } from "effect"
import * as Caller from "../../src/domain/caller.ts"
import type { LeasePolicy } from "../../src/domain/policy.ts"
import type { Leases } from "../../src/services/leases.ts"

/** Open the port for a policy, as one process; what it holds outside of the test goes with the scope. */
export type Open = (policy: LeasePolicy) => Effect.Effect<Leases["Service"], never, Scope.Scope>

const acme = Caller.make("acme")

/** Hold one place until the scope is closed. */
const hold = (leases: Leases["Service"], caller = acme) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const exit = yield* Effect.exit(Scope.provide(leases.acquire(caller), scope))
    return { exit, let: Scope.close(scope, Exit.void) }
  })

/** Wait until the store says so; releases are told in the background. */
const until = (check: Effect.Effect<boolean>): Effect.Effect<void> =>
  Effect.suspend(() => Effect.flatMap(check, (ok) => (ok ? Effect.void : Effect.delay(until(check), 5))))

export const suite = (name: string, open: Open, skip = false): void => {
  describe.skipIf(skip)(`Leases: ${name}`, () => {
    const live = <A, E>(
      title: string,
      policy: Partial<LeasePolicy>,
      test: (leases: Leases["Service"]) => Effect.Effect<A, E, Scope.Scope>
    ) => it.live(title, () => Effect.scoped(Effect.flatMap(open({ ttlMs: 15_000, ...policy }), test)))

    live("as many as the limit, and one more when one is given back", { standard: 2 }, (leases) =>
      Effect.gen(function* () {
        const [one, two, three] = [yield* hold(leases), yield* hold(leases), yield* hold(leases)]
        assert.isTrue(Exit.isSuccess(one.exit) && Exit.isSuccess(two.exit))
        const error = Exit.isFailure(three.exit) ? yield* Effect.flip(three.exit) : assert.fail("a third was given")
        assert.strictEqual(error.reason._tag, "Exceeded")
        assert.isAbove(error.reason.retryAfterMs, 0)
        yield* one.let
        yield* until(Effect.map(leases.held(acme.tenant), (held) => held === 1))
        assert.isTrue(Exit.isSuccess((yield* hold(leases)).exit))
      })
    )

    live("fencing numbers grow, and a lease that was given back is not held", { standard: 9 }, (leases) =>
      Effect.gen(function* () {
        const fences: Array<number> = []
        for (let i = 0; i < 3; i++) {
          const lease = yield* Effect.scoped(leases.acquire(acme))
          fences.push(lease.fence)
          assert.isFalse(lease.held())
        }
        assert.deepStrictEqual(
          fences,
          fences.toSorted((a, b) => a - b)
        )
        assert.strictEqual(new Set(fences).size, 3)
      })
    )

    live("tenants do not share places, and plans have limits of their own", { standard: 1, premium: 2 }, (leases) =>
      Effect.gen(function* () {
        yield* leases.acquire(acme)
        assert.isTrue(Exit.isSuccess((yield* hold(leases, Caller.make("other"))).exit))
        assert.isTrue(Exit.isFailure((yield* hold(leases)).exit))
        const premium = Caller.make("rich", { plan: "premium" })
        assert.isTrue(Exit.isSuccess((yield* hold(leases, premium)).exit))
        assert.isTrue(Exit.isSuccess((yield* hold(leases, premium)).exit))
        assert.isTrue(Exit.isFailure((yield* hold(leases, premium)).exit))
      })
    )

    live("without a limit nothing is counted", {}, (leases) =>
      Effect.gen(function* () {
        for (let i = 0; i < 50; i++) yield* leases.acquire(acme)
        assert.strictEqual(yield* leases.held(acme.tenant), 0)
      })
    )

    live("many at once: never more than the limit", { standard: 5 }, (leases) =>
      Effect.gen(function* () {
        let now = 0
        let most = 0
        let given = 0
        yield* Effect.forEach(
          Array.from({ length: 60 }),
          () =>
            Effect.scoped(
              Effect.gen(function* () {
                yield* leases.acquire(acme)
                given++
                most = Math.max(most, ++now)
                yield* Effect.sleep(2)
                now--
              })
            ).pipe(Effect.ignore),
          { concurrency: 20, discard: true }
        )
        assert.isAtMost(most, 5)
        assert.isAtLeast(given, 5)
        yield* until(Effect.map(leases.held(acme.tenant), (held) => held === 0))
      })
    )

    live("interrupted anywhere, nothing is left behind", { standard: 50 }, (leases) =>
      Effect.gen(function* () {
        for (let ops = 3; ops <= 40; ops++) {
          const fiber = yield* Effect.forkChild(
            Effect.provideService(
              Effect.scoped(Effect.andThen(leases.acquire(acme), Effect.never)),
              Scheduler.MaxOpsBeforeYield,
              ops
            )
          )
          for (let turn = 0; turn < ops % 7; turn++) yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
        }
        yield* until(Effect.map(leases.held(acme.tenant), (held) => held === 0))
      })
    )
  })
}

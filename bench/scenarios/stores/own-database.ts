/** A fresh database for one run, on the Postgres that the tests use: `DATABASE_URL`, the standard port, or one started here. */
import { Effect } from "effect"

const postgres = () => import("../../../test/support/postgres.ts")

/** What is missing where there is no Postgres. */
export const missing = async (): Promise<string | undefined> =>
  (await postgres()).available ? undefined : "no Postgres: set DATABASE_URL, or install it"

/** Run something with a database that is dropped when it is over. */
export const use = async <A>(f: (url: string) => Promise<A>): Promise<A> => {
  const { database } = await postgres()
  return Effect.runPromise(Effect.scoped(Effect.flatMap(database, ({ url }) => Effect.promise(() => f(url)))))
}

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

/** An entry of the books. */
export interface Booked {
  readonly id: string
  readonly kind: "settled" | "expired" | "corrected"
  readonly microUsd: number
}

/** All that is in the books. */
export const booked = async (url: string): Promise<ReadonlyArray<Booked>> => {
  const { client } = await postgres()
  return Effect.runPromise(
    Effect.scoped(
      Effect.flatMap(
        client(url),
        (sql) =>
          // Amounts of a run are far below what a double holds exactly.
          sql<Booked>`SELECT id, kind, micro_usd::float8 AS "microUsd" FROM ledger`
      )
    )
  )
}

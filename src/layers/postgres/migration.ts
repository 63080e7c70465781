/** One step of the database's schema. */

/**
 * A step: run whole, in one transaction, or not at all. One that was published
 * is never changed; what has to be different is a further step.
 */
export interface Migration {
  /** 1, 2, 3 … without gaps. */
  readonly id: number
  readonly name: string
  /** Each is one SQL statement. */
  readonly statements: ReadonlyArray<string>
}

/**
 * How a request or a try ended, as one word for metrics, traces and logs.
 */
import type { ErrorKey } from "./error-table.ts"

/** `ok`, `cancelled` (the caller left), the key of an error (`RateLimitError.Exceeded`), or `defect` (a bug). */
export type Outcome = "pending" | "ok" | "cancelled" | "defect" | ErrorKey

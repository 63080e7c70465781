/**
 * The clock that every process of the scenario shares: the system's monotonic clock (`CLOCK_MONOTONIC` on Linux), read
 * in nanoseconds and the same for all processes of one machine. What a reading is worth is set by the event loop of
 * the process that takes it, see `stalls.ts`.
 */

/** Milliseconds on the shared clock. */
export const sharedMs = (): number => Number(process.hrtime.bigint()) / 1e6

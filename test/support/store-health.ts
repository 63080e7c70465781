/** A StoreHealth that only writes down what it is told, and has every store asked. */
import { Context, Effect, Layer, Stream } from "effect"
import { StoreHealth } from "../../src/services/store-health.ts"

/** What was reported, in order: `ok`, or the detail of a failure. */
export class HealthReports extends Context.Service<HealthReports, { readonly reports: Array<string> }>()(
  "ballast/test/HealthReports"
) {}

export const layer: Layer.Layer<StoreHealth | HealthReports> = Layer.effectContext(
  Effect.sync(() => {
    const reports: Array<string> = []
    const health = StoreHealth.of({
      usable: () => true,
      down: () => false,
      ok: (store) => void reports.push(`${store}: ok`),
      failed: (store, detail) => void reports.push(`${store}: ${detail}`),
      changes: Stream.empty,
      states: Effect.succeed([])
    })
    return Context.make(StoreHealth, health).pipe(Context.add(HealthReports, { reports }))
  })
)

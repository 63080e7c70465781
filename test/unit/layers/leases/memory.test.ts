import { Effect } from "effect"
import * as LeasesMemory from "../../../../src/layers/leases/memory.ts"
import { suite } from "../../../conformance/leases.ts"

suite("memory", (policy) => Effect.sync(() => LeasesMemory.make(policy)))

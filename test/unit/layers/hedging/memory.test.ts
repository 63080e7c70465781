import { layer } from "../../../../src/layers/hedging/memory.ts"
import { suite } from "../../../conformance/hedging.ts"

suite("memory", layer)

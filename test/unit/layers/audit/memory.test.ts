/** Acts in memory. */
import * as Memory from "../../../../src/layers/audit/memory.ts"
import { suite } from "../../../conformance/audit.ts"

suite("memory", Memory.layer)

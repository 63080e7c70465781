import * as KillSwitchMemory from "../../../../src/layers/kill-switch/memory.ts"
import { suite } from "../../../conformance/kill-switch.ts"

suite("memory", KillSwitchMemory.layer)

// The test runner's settings: two workers for two cores, virtual time inside the tests, real sockets where a test says so.
// What measures real processes against the clock runs after all others, and one at a time: beside another test on the
// same two cores it would measure that.
import { defineConfig } from "vitest/config"

const measured = ["test/integration/streams-s9.test.ts", "test/integration/scenarios-stores.test.ts"]
const common = { testTimeout: 20_000, hookTimeout: 30_000 }

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...common,
          name: "tests",
          include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
          exclude: measured,
          maxWorkers: 2,
          sequence: { groupOrder: 0 }
        }
      },
      { test: { ...common, name: "measured", include: measured, maxWorkers: 1, sequence: { groupOrder: 1 } } }
    ]
  }
})

// The test runner's settings: two workers for two cores, virtual time inside the tests, real sockets where a test says so.
import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 30_000
  }
})

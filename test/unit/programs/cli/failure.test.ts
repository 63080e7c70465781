import { assert, describe, it } from "@effect/vitest"
import { Cause, Exit } from "effect"
import { CliError } from "effect/cli"
import { ConfigError } from "../../../../src/domain/config-error.ts"
import * as Failure from "../../../../src/programs/cli/failure.ts"

const config = new ConfigError({ source: "f", problems: [{ path: "a", found: "1", allowed: "2" }] })
const usage = new CliError.ShowHelp({ commandPath: ["ballast"], errors: [new CliError.MissingOption({ option: "x" })] })
const help = new CliError.ShowHelp({ commandPath: ["ballast"], errors: [] })
const runtime = new Failure.CommandError({ detail: "no luck" })

const codeOf = (exit: Exit.Exit<unknown, unknown>): number => {
  let code = -1
  Failure.teardown(exit, (given) => {
    code = given
  })
  return code
}

describe("teardown", () => {
  it("exits 0 after success, help and a clean stop, 2 for mistakes of the user, else 1", () => {
    assert.strictEqual(codeOf(Exit.void), 0)
    assert.strictEqual(codeOf(Exit.interrupt(1)), 0)
    assert.strictEqual(codeOf(Exit.fail(help)), 0)
    assert.strictEqual(codeOf(Exit.fail(usage)), 2)
    assert.strictEqual(codeOf(Exit.fail(config)), 2)
    assert.strictEqual(codeOf(Exit.fail(runtime)), 1)
    assert.strictEqual(codeOf(Exit.die(new TypeError("bug"))), 1)
  })

  it("is a failure where the drain itself failed", () => {
    const both = Cause.combine(Cause.interrupt(1), Cause.die(new TypeError("bug")))
    assert.strictEqual(codeOf(Exit.failCause(both)), 1)
  })
})

describe("message", () => {
  it("is the error's own text, with a stack trace only for defects", () => {
    assert.strictEqual(Failure.message(Cause.fail(config)), config.message)
    assert.strictEqual(Failure.message(Cause.fail(runtime)), "no luck")
    assert.strictEqual(Failure.message(Cause.fail(usage)), undefined, "the help has said it")
    assert.strictEqual(Failure.message(Cause.interrupt(1)), undefined)
    assert.include(Failure.message(Cause.die(new TypeError("bug"))), "at ")
  })
})

describe("cannotListen", () => {
  it("names the port and the way out", () => {
    const at = { host: "127.0.0.1", port: 8080 }
    assert.strictEqual(
      Failure.cannotListen({ ...at, code: "EADDRINUSE" }, "--port").message,
      "Port 8080 on 127.0.0.1 is in use. Choose another with --port; 0 picks a free one."
    )
    assert.include(Failure.cannotListen({ ...at, port: 80, code: "EACCES" }, "--port").message, "rights")
    assert.include(Failure.cannotListen({ ...at, code: "EADDRNOTAVAIL" }, "--port").message, "EADDRNOTAVAIL")
  })
})

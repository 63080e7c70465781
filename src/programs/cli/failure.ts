/**
 * How a command ends: 0 when it did what was asked or was told to stop, 2 when
 * the command line or the configuration is wrong, 1 for anything else. People
 * get a message; a stack trace only where the mistake is in Ballast itself.
 */
import { Cause, Exit, Schema } from "effect"
import type { Runtime } from "effect"
import { CliError } from "effect/cli"
import { ConfigError } from "../../domain/config-error.ts"

/** A command failed in a way that its message fully explains. */
export class CommandError extends Schema.TaggedError<CommandError>()("CommandError", {
  detail: Schema.String
}) {
  override get message(): string {
    return this.detail
  }
}

/** Why a port cannot be listened on, and how to choose another one. `code` is the system's, e.g. `EADDRINUSE`. */
export const cannotListen = (
  at: { readonly host: string; readonly port: number; readonly code: string },
  choose: string
): CommandError => {
  const why =
    at.code === "EADDRINUSE"
      ? `Port ${at.port} on ${at.host} is in use.`
      : at.code === "EACCES"
        ? `Port ${at.port} on ${at.host} needs more rights than this user has.`
        : `Cannot listen on port ${at.port} of ${at.host} (${at.code}).`
  return new CommandError({ detail: `${why} Choose another with ${choose}; 0 picks a free one.` })
}

/** Exit code of a failed command. */
export const exitCode = (cause: Cause.Cause<unknown>): number => {
  if (Cause.hasInterruptsOnly(cause)) return 0
  const error = Cause.squash(cause)
  if (CliError.isCliError(error)) return error._tag === "ShowHelp" && error.errors.length === 0 ? 0 : 2
  return error instanceof ConfigError ? 2 : 1
}

/** What to tell about a failed command on stderr; nothing where the command line's help has said it already. */
export const message = (cause: Cause.Cause<unknown>): string | undefined => {
  if (Cause.hasInterruptsOnly(cause)) return undefined
  const failure = cause.reasons.find((reason) => reason._tag === "Fail")
  if (failure === undefined) return Cause.pretty(cause)
  const { error } = failure
  if (CliError.isCliError(error)) return undefined
  return error instanceof Error ? error.message : String(error)
}

/** Sets the exit code when the program has ended. A stop by SIGTERM or SIGINT after a clean drain is 0. */
export const teardown: Runtime.Teardown = (exit, onExit) => onExit(Exit.isSuccess(exit) ? 0 : exitCode(exit.cause))

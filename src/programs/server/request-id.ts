/**
 * The id by which a client, our logs and our traces name one request: the
 * client's own `x-request-id`, where it sent a usable one.
 */

const usable = /^[\w.:-]{1,128}$/u

/** The header's value, where it is one that may go into logs and headers. */
export const fromHeader = (value: string | undefined): string | undefined =>
  value !== undefined && usable.test(value) ? value : undefined

/** Names one process among all others: 53 random bits. */
export const make = (random: { readonly nextDoubleUnsafe: () => number }): string =>
  Math.floor(random.nextDoubleUnsafe() * Number.MAX_SAFE_INTEGER).toString(36)

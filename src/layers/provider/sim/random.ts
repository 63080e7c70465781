/**
 * Chance for the simulated provider: its own small generator, so that neither
 * the ambient `Random` nor the order in which other fibers draw can change
 * what a seed means.
 */

/** A number in [0, 1). */
export type Random = () => number

/**
 * Chris Doty-Humphrey's sfc32 (PractRand), seeded by three 32-bit integers;
 * the first draws are thrown away, as he advises, until the seeds have mixed.
 */
export const make = (seedA: number, seedB: number, seedC = 0): Random => {
  let a = seedA | 0
  let b = seedB | 0
  let c = seedC | 0
  let counter = 1
  const next = () => {
    const sum = (((a + b) | 0) + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + sum) | 0
    return (sum >>> 0) / 4_294_967_296
  }
  for (let i = 0; i < 15; i++) next()
  return next
}

/** A draw from the standard normal distribution (Box and Muller, 1958; one of the pair is dropped to keep no state). */
export const normal = (random: Random): number =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())

/** A log-normal draw by its median, which is easier to name than its mean. `sigma` 0 draws nothing and is the median. */
export const logNormal = (random: Random, median: number, sigma: number): number =>
  sigma === 0 || median === 0 ? median : median * Math.exp(sigma * normal(random))

/** A 32-bit FNV-1a hash over UTF-16 units (Fowler, Noll, Vo; RFC 9923), continuing from `hash`. */
export const hash = (text: string, from = 0x811c9dc5): number => {
  let h = from
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return h >>> 0
}

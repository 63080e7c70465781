/**
 * The figures by which policies are compared, as pure functions of counts.
 * Counts are by the second in which a visit was to be sent, so a figure speaks
 * about the people who came then, whenever they got their answer.
 */

/** Visits that were to be sent in one second, and how many of them ended well. */
export interface Rated {
  readonly offered: number
  readonly good: number
}

/** A span of time in seconds; `toS` is outside. */
export interface Span {
  readonly fromS: number
  readonly toS: number
}

/** Good visits as a share of those offered in a span; `undefined` where nobody came. */
export const share = (seconds: ReadonlyArray<Rated>, { fromS, toS }: Span): number | undefined => {
  let offered = 0
  let good = 0
  for (let second = Math.max(0, Math.floor(fromS)); second < Math.min(toS, seconds.length); second++) {
    offered += seconds[second]?.offered ?? 0
    good += seconds[second]?.good ?? 0
  }
  return offered === 0 ? undefined : good / offered
}

/**
 * The span before a trigger that shows how things usually are: without the
 * start (the first tenth, at most 10 s), and without those who came so shortly
 * before the trigger that it met them too (`patienceS`).
 */
export const before = (trigger: Span, patienceS: number): Span => {
  const fromS = Math.min(10, Math.floor(trigger.fromS / 10))
  return { fromS, toS: Math.max(fromS + 1, trigger.fromS - patienceS) }
}

/** When things are as they were: this share of what was usual, over a window of so many seconds, for so many seconds. */
export const recovered = { share: 0.95, windowS: 5, holdS: 15 } as const

/**
 * Seconds from the end of the trigger until the goodput of the last 5 s is back
 * to 95 % of what it was before it, and stays there for 15 s (or to the end),
 * so that a dip that comes late is not overlooked. `null`: never.
 */
export const recoveryS = (seconds: ReadonlyArray<Rated>, trigger: Span, patienceS: number): number | null => {
  const wanted = (share(seconds, before(trigger, patienceS)) ?? 0) * recovered.share
  const isGood = (endS: number) => (share(seconds, { fromS: endS - recovered.windowS, toS: endS }) ?? 1) >= wanted
  let since: number | undefined
  for (let at = Math.ceil(trigger.toS); at <= seconds.length; at++) {
    if (!isGood(at)) since = undefined
    else {
      since ??= at
      if (at - since >= recovered.holdS) break
    }
  }
  return since === undefined ? null : since - Math.ceil(trigger.toS)
}

/** How long the last part of a run is that {@link goodputRatio} looks at, in seconds. */
export const lastS = 60

/**
 * Goodput in the last minute over goodput before the trigger. Both are per
 * visit offered, so that the chance of arrivals does not count. `null` where
 * nobody came.
 */
export const goodputRatio = (seconds: ReadonlyArray<Rated>, trigger: Span, patienceS: number): number | null => {
  const usual = share(seconds, before(trigger, patienceS))
  const last = share(seconds, { fromS: Math.max(trigger.toS, seconds.length - lastS), toS: seconds.length })
  return usual === undefined || usual === 0 || last === undefined ? null : last / usual
}

/** Jain's fairness index (Jain, Chiu, Hawe, DEC-TR-301, 1984): 1 when all are equal, 1/n when one has everything. 1 of none. */
export const jain = (values: ReadonlyArray<number>): number => {
  let sum = 0
  let squares = 0
  for (const value of values) {
    sum += value
    squares += value * value
  }
  return squares === 0 ? 1 : (sum * sum) / (values.length * squares)
}

/**
 * The max-min fair shares of a capacity (Bertsekas and Gallager, "Data
 * Networks", section 6.5.2): who wants little gets it all, the others divide
 * what is left equally.
 */
export const maxMin = (demands: ReadonlyArray<number>, capacity: number): ReadonlyArray<number> => {
  const shares = demands.map(() => 0)
  const order = demands.map((_, index) => index).toSorted((a, b) => (demands[a] ?? 0) - (demands[b] ?? 0))
  let left = capacity
  for (const [place, index] of order.entries()) {
    const given = Math.max(0, Math.min(demands[index] ?? 0, left / (order.length - place)))
    shares[index] = given
    left -= given
  }
  return shares
}

/** What a tenant wanted and got, in any one unit. */
export interface Portion {
  readonly wanted: number
  readonly got: number
}

/**
 * Jain's index of what tenants got of their max-min fair shares. Where
 * `capacity` is left out it is all that was given away, so that only the
 * dividing is judged, not how much there was.
 */
export const fairness = (portions: ReadonlyArray<Portion>, capacity?: number): number => {
  const shares = maxMin(
    portions.map(({ wanted }) => wanted),
    capacity ?? portions.reduce((sum, { got }) => sum + got, 0)
  )
  return jain(portions.flatMap(({ got }, index) => ((shares[index] ?? 0) > 0 ? [got / (shares[index] ?? 1)] : [])))
}

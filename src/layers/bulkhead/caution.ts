/**
 * How much longer than expected a wait is said to be, in standard deviations.
 *
 * Under overload much: there are always others to take a place in the queue,
 * and whoever is turned away at once can go elsewhere while there is time, so
 * nearly everyone who is let in must be served. How much that takes is learned
 * for each tenant: more with each claim that waited in vain, less with each
 * that did not, until `inVain` of them do (the step rule of a running
 * quantile). Where few are turned away a wait in vain is the lesser evil, and
 * little is enough; so it is for a tenant that gets nearly all it asks for,
 * whatever the others ask for.
 */
import { FadingMean } from "./fading-mean.ts"

/** Share of those let in that may wait in vain under overload. */
const inVain = 0.002

/** The factor at first and at most, and how much one wait in vain changes it. */
const first = 3.5
const most = 6
const step = 0.25

/** The factor where there is no overload. */
export const leastCaution = 0.5

/** Share of the claims without a free place that are turned away: overload begins at `few` and is certain at `many`. */
const few = 0.2
const many = 0.3

/** The same of a tenant's own claims. */
const ownFew = 0.1
const ownMany = 0.2

/** Claims that this share is about, and how fast it fades (ms). */
const claims = 128
const fadeMs = 30_000

/** It begins with so many that were let in; a tenant's own begins with so many of everybody's. */
const prior = 16
const ownPrior = 16

/** What became of one tenant's claims that found no free place. */
export class History {
  /** The factor under overload. */
  learned = first
  readonly refused = new FadingMean(claims, fadeMs)
}

export class Caution {
  private readonly refused = new FadingMean(claims, fadeMs)

  /** The factor of the standard deviation at `now` (ms) for a claim of a tenant with this history. */
  read(now: number, history: History | undefined): number {
    return leastCaution + ((history?.learned ?? first) - leastCaution) * this.overload(now, history)
  }

  /** A claim that found no free place was turned away, or let into the queue. */
  decided(now: number, refused: boolean, history: History | undefined): void {
    this.refused.add(now, refused ? 1 : 0)
    history?.refused.add(now, refused ? 1 : 0)
  }

  /** A wait has ended with a place, or in vain. */
  waited(now: number, served: boolean, history: History): void {
    const change = (served ? -step * inVain : step) * this.overload(now, history)
    history.learned = Math.min(most, Math.max(leastCaution, history.learned + change))
  }

  /** How far the share of claims that are turned away is on its way to overload, 0 to 1. */
  private overload(now: number, history: History | undefined): number {
    const all = this.refused.read(now, 0, prior)
    const overall = ramp(all, few, many)
    return history === undefined
      ? overall
      : Math.min(overall, ramp(history.refused.read(now, all, ownPrior), ownFew, ownMany))
  }
}

const ramp = (value: number, from: number, to: number): number => Math.min(1, Math.max(0, (value - from) / (to - from)))

/**
 * Who is served next: tenants in proportion to their weights, by work in
 * tokens, whatever they send and however many calls they queue.
 *
 * Start-time fair queuing (Goyal, Vin and Cheng, "Start-time Fair Queuing",
 * SIGCOMM 1996), in its form for several servers (SFQ(D): Jin, Chase and Kaur,
 * "Interposed proportional sharing", SIGMETRICS 2004). A claim starts, in
 * virtual time, where its tenant's last one finished, or at the present if
 * that is later; it finishes `cost / weight` after its start. The claim with
 * the least start is served first, and its start is the present from then on.
 *
 * Tags belong to tenants, not to claims: only the first of a tenant's claims
 * competes, and the others follow it one after another. So a claim may leave
 * from anywhere, and a guessed cost may be corrected when the true one is
 * known (`settle`; Kubernetes' priority and fairness corrects its guessed
 * service times alike, KEP-1040), without touching the other claims.
 *
 * The present also moves on with the work that is done, shared among all who
 * wait, at most into the middle of the claim served (as in WF2Q+: Bennett and
 * Zhang, "Hierarchical packet fair queueing algorithms", SIGCOMM 1996). Else it
 * would stand still while every claim comes from a tenant of its own, and those
 * who have been served once would never be served again.
 */
import { Heap } from "./heap.ts"
import { Tenant } from "./tenant.ts"
import type { Claim } from "./tenant.ts"
import * as WaitQueue from "./wait-queue.ts"

/** A tenant that has gone is held to what it had too much of for so long, in ms. */
const debtMs = 60_000

/** Most tenants remembered for their debts alone. */
const maxDebtors = 1_024

/** Most waiting tenants looked at to count who is ahead of a claim; where there are more, a sample stands for all. */
const maxLooks = 64

/** Tenants that wait, by the start of their first claim; the earlier arrival among equals. */
class ByFirst<C extends Claim<C>> extends Heap<Tenant<C>> {
  protected before(a: Tenant<C>, b: Tenant<C>): boolean {
    return a.first < b.first || (a.first === b.first && (a.head?.order ?? 0) < (b.head?.order ?? 0))
  }
  protected placeOf(tenant: Tenant<C>): number {
    return tenant.firstPlace
  }
  protected moved(tenant: Tenant<C>, place: number): void {
    tenant.firstPlace = place
  }
}

/** Tenants that wait, by the start of their last claim, the greatest first; the later arrival among equals. */
class ByLast<C extends Claim<C>> extends Heap<Tenant<C>> {
  protected before(a: Tenant<C>, b: Tenant<C>): boolean {
    return a.last > b.last || (a.last === b.last && (a.tail?.order ?? 0) > (b.tail?.order ?? 0))
  }
  protected placeOf(tenant: Tenant<C>): number {
    return tenant.lastPlace
  }
  protected moved(tenant: Tenant<C>, place: number): void {
    tenant.lastPlace = place
  }
}

export class FairQueue<C extends Claim<C>> {
  /** Claims that wait. */
  size = 0
  /** The present, in virtual time: tokens for a weight of 1. */
  present = 0
  /** Weights of the tenants that wait, together. */
  waitingWeight = 0
  /** Where the last of all work ends. */
  private end = 0
  /** What the claim served last moves the present on until the next is served. */
  private underWay = 0
  private readonly tenants = new Map<string, Tenant<C>>()
  private readonly byFirst = new ByFirst<C>()
  private readonly byLast = new ByLast<C>()
  /** Tenants that neither wait nor run, the one that has rested longest first. */
  private readonly resting = WaitQueue.make<Tenant<C>>()

  /** Tenants that it remembers. */
  get remembered(): number {
    return this.tenants.size
  }

  /** The account of a tenant if it is remembered. */
  find(id: string): Tenant<C> | undefined {
    return this.tenants.get(id)
  }

  /** The account of a tenant, opened if need be. Whoever calls this goes on with `charge` or `push`. */
  tenant(id: string, weight: number): Tenant<C> {
    let tenant = this.tenants.get(id)
    if (tenant === undefined) {
      tenant = new Tenant<C>(id)
      this.tenants.set(id, tenant)
    }
    tenant.weight = weight
    return tenant
  }

  /** Begin work of a tenant while nobody waits. */
  charge(tenant: Tenant<C>, cost: number): void {
    this.wake(tenant)
    this.underWay = 0
    this.begin(tenant, Math.max(this.present, tenant.finish), cost)
  }

  /** Let a claim wait behind those of its tenant. */
  push(claim: C): void {
    const { tenant } = claim
    this.wake(tenant)
    if (tenant.size === 0) tenant.since = this.present
    WaitQueue.push(tenant, claim)
    tenant.work += claim.cost
    this.size++
    this.retag(tenant)
  }

  /** Take a waiting claim out without serving it. Its tenant may have to {@link rest}. */
  remove(claim: C): void {
    this.take(claim)
    this.retag(claim.tenant)
  }

  /** The claim that is served next. */
  next(): C | undefined {
    return this.byFirst.first()?.head
  }

  /** Take out the next claim and begin its work. */
  serve(claim: C): void {
    const { cost, tenant } = claim
    const start = tenant.first
    const middle = start + cost / (2 * tenant.weight)
    this.present = Math.max(this.present, Math.min(this.present + this.underWay, middle))
    this.underWay = cost / this.waitingWeight
    this.take(claim)
    this.begin(tenant, start, cost)
    this.retag(tenant)
  }

  /** The claim that would be served last if none came after it. */
  youngest(): C | undefined {
    return this.byLast.first()?.tail
  }

  /** Where that one starts, in virtual time; the present where nobody waits. */
  get last(): number {
    return this.byLast.first()?.last ?? this.present
  }

  /** Where one more claim of this tenant would start, in virtual time. */
  startOf(id: string, weight: number): number {
    const tenant = this.tenants.get(id)
    if (tenant === undefined) return this.present
    return tenant.size === 0 ? Math.max(this.present, tenant.finish) : tenant.first + tenant.work / weight
  }

  /** How many of the waiting claims would be served before one that starts at `start`. */
  ahead(start: number): number {
    const tenants = this.byFirst.members
    const stride = Math.ceil(tenants.length / maxLooks)
    let looks = 0
    let ahead = 0
    for (let i = 0; i < tenants.length; i += stride) {
      // Within the array.
      ahead += startedBy(tenants[i]!, start)
      looks++
    }
    return looks === 0 ? 0 : (ahead * tenants.length) / looks
  }

  /** The work of one of a tenant's claims was `change` tokens more than it was charged for. */
  settle(tenant: Tenant<C>, change: number): void {
    tenant.finish += change / tenant.weight
    if (tenant.finish > this.end) this.end = tenant.finish
    if (tenant.size > 0) this.retag(tenant)
  }

  /** A tenant's work or wait has ended (`now` in ms of the clock); when it has no other, it may be forgotten. */
  rest(tenant: Tenant<C>, now: number): void {
    if (tenant.size > 0 || tenant.inFlight > 0 || tenant.restingSince !== undefined) return
    tenant.restingSince = now
    WaitQueue.push(this.resting, tenant)
    for (let oldest = this.resting.head; oldest !== undefined; oldest = this.resting.head) {
      const owes = oldest.finish > this.present && now - (oldest.restingSince ?? now) < debtMs
      if (owes && this.resting.size <= maxDebtors) return
      this.forget(oldest)
    }
  }

  /** Nothing waits and nothing runs: nobody owes anything. The latest tenant's account stays open for its next claim. */
  settleAll(): void {
    this.present = this.end
    for (let oldest = this.resting.head; this.resting.size > 1 && oldest !== undefined; oldest = this.resting.head) {
      this.forget(oldest)
    }
  }

  private forget(tenant: Tenant<C>): void {
    WaitQueue.remove(this.resting, tenant)
    this.tenants.delete(tenant.id)
  }

  private wake(tenant: Tenant<C>): void {
    if (tenant.restingSince === undefined) return
    tenant.restingSince = undefined
    WaitQueue.remove(this.resting, tenant)
  }

  private take(claim: C): void {
    WaitQueue.remove(claim.tenant, claim)
    claim.tenant.work -= claim.cost
    this.size--
  }

  private begin(tenant: Tenant<C>, start: number, cost: number): void {
    if (start > this.present) this.present = start
    tenant.finish = start + cost / tenant.weight
    if (tenant.finish > this.end) this.end = tenant.finish
    tenant.inFlight++
  }

  /** Bring a tenant's tags and its places in the order up to date. */
  private retag(tenant: Tenant<C>): void {
    const { tail } = tenant
    const weight = tail === undefined ? 0 : tenant.weight
    this.waitingWeight += weight - tenant.waitingWeight
    tenant.waitingWeight = weight
    if (tail === undefined) {
      this.byFirst.remove(tenant)
      this.byLast.remove(tenant)
      return
    }
    tenant.first = Math.max(tenant.since, tenant.finish)
    tenant.last = tenant.first + (tenant.work - tail.cost) / tenant.weight
    this.byFirst.put(tenant)
    this.byLast.put(tenant)
  }
}

/** How many of a tenant's waiting claims start at `start` or before; those between its first and its last count as even. */
const startedBy = <C extends Claim<C>>({ first, last, size }: Tenant<C>, start: number): number =>
  last <= start ? size : first > start ? 0 : 1 + Math.floor(((size - 1) * (start - first)) / (last - first))

/**
 * A binary heap whose members know their place, so that any of them can be
 * moved or taken out in O(log n). Subclasses say who goes first and where a
 * member remembers its place: one member can be in several heaps.
 */

/** The place of a member that is in no heap. */
export const outside = -1

export abstract class Heap<A> {
  /** The parent of index `i` is at `(i - 1) >> 1`. Read it only; it is public for walks over all members in no order. */
  readonly members: Array<A> = []

  /** Whether `a` goes before `b`. */
  protected abstract before(a: A, b: A): boolean
  /** Where the member is in this heap, as {@link moved} was told last; {@link outside} at first. */
  protected abstract placeOf(member: A): number
  /** The member is at `place` from here on. */
  protected abstract moved(member: A, place: number): void

  /** The member that goes first. */
  first(): A | undefined {
    return this.members[0]
  }

  /** Add a member, or move it to where it belongs after its order has changed. */
  put(member: A): void {
    let place = this.placeOf(member)
    if (place === outside) {
      place = this.members.length
      this.members.push(member)
    }
    this.down(this.up(place, member), member)
  }

  /** Take a member out; nothing happens when it is not in. */
  remove(member: A): void {
    const place = this.placeOf(member)
    if (place === outside) return
    this.moved(member, outside)
    const last = this.members.pop()
    if (last === undefined || last === member) return
    this.down(this.up(place, last), last)
  }

  /** Let `member` rise from `place`; gives the place it comes to, where it is not written yet. */
  private up(from: number, member: A): number {
    const { members } = this
    let place = from
    while (place > 0) {
      const parent = (place - 1) >> 1
      // Within the array: `parent` is less than `place`.
      const above = members[parent]!
      if (!this.before(member, above)) break
      members[place] = above
      this.moved(above, place)
      place = parent
    }
    return place
  }

  /** Let `member` sink from `place`, and write it where it comes to rest. */
  private down(from: number, member: A): void {
    const { members } = this
    const { length } = members
    let place = from
    for (;;) {
      let child = 2 * place + 1
      if (child >= length) break
      // Both are within the array, as checked beside them.
      if (child + 1 < length && this.before(members[child + 1]!, members[child]!)) child++
      const below = members[child]!
      if (!this.before(below, member)) break
      members[place] = below
      this.moved(below, place)
      place = child
    }
    members[place] = member
    this.moved(member, place)
  }
}

/**
 * A binary min-heap of deadlines, first come first served among equal ones.
 * Cancelled entries stay until they reach the top, or until they are the
 * majority, when one sweep drops them all.
 */

/** One deadline. `inline` entries act on the heap's owner itself, the others wake somebody else. */
export interface Entry {
  readonly at: number
  readonly inline: boolean
  readonly onDue: () => void
  order: number
  passed: boolean
  cancelled: boolean
}

/** The heap. Only this module's functions may touch its fields. */
export interface Heap {
  entries: Array<Entry>
  pushed: number
  cancelled: number
}

/** An empty heap. */
export const make = (): Heap => ({ entries: [], pushed: 0, cancelled: 0 })

/** An entry that is in no heap yet. */
export const entry = (at: number, inline: boolean, onDue: () => void): Entry => ({
  at,
  inline,
  onDue,
  order: 0,
  passed: false,
  cancelled: false
})

const before = (a: Entry, b: Entry) => a.at < b.at || (a.at === b.at && a.order < b.order)

const siftUp = (entries: Array<Entry>, item: Entry) => {
  let i = entries.length
  entries.push(item)
  while (i > 0) {
    const up = (i - 1) >> 1
    const parent = entries[up]
    if (parent === undefined || !before(item, parent)) break
    entries[i] = parent
    i = up
  }
  entries[i] = item
}

/** Add an entry. */
export const push = (heap: Heap, item: Entry): void => {
  item.order = heap.pushed++
  siftUp(heap.entries, item)
}

const removeTop = (entries: Array<Entry>): Entry | undefined => {
  const top = entries[0]
  const item = entries.pop()
  if (top === undefined || item === undefined || entries.length === 0) return top
  const size = entries.length
  let i = 0
  for (;;) {
    let down = 2 * i + 1
    let child = entries[down]
    if (child === undefined) break
    const right = down + 1 < size ? entries[down + 1] : undefined
    if (right !== undefined && before(right, child)) {
      child = right
      down++
    }
    if (!before(child, item)) break
    entries[i] = child
    i = down
  }
  entries[i] = item
  return top
}

/** The earliest entry that is not cancelled. */
export const peek = (heap: Heap): Entry | undefined => {
  for (;;) {
    const top = heap.entries[0]
    if (top === undefined || !top.cancelled) return top
    removeTop(heap.entries)
    heap.cancelled--
  }
}

/** Take the earliest entry that is not cancelled. */
export const pop = (heap: Heap): Entry | undefined => {
  const top = peek(heap)
  if (top === undefined) return undefined
  top.passed = true
  return removeTop(heap.entries)
}

/** Forget an entry. Doing so twice, or after it was taken, changes nothing in the heap. */
export const cancel = (heap: Heap, item: Entry): void => {
  if (item.cancelled) return
  item.cancelled = true
  if (item.passed) return
  heap.cancelled++
  if (heap.cancelled < 64 || heap.cancelled * 2 < heap.entries.length) return
  const kept = heap.entries.filter((one) => !one.cancelled)
  heap.entries = []
  heap.cancelled = 0
  for (const one of kept) siftUp(heap.entries, one)
}

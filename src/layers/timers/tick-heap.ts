/**
 * A binary min-heap of numbers: the occupied ticks of the timer wheel, the
 * earliest first. Each tick is in it once; the wheel's map of buckets sees to
 * that.
 */

/** The heap's array: the parent of index `i` is at `(i - 1) >> 1`. */
export type TickHeap = Array<number>

/** An empty heap. */
export const make = (): TickHeap => []

/** The smallest tick, or `Infinity` when there is none. */
export const peek = (heap: TickHeap): number => heap[0] ?? Infinity

/** Add a tick: O(log n). */
export const push = (heap: TickHeap, tick: number): void => {
  let index = heap.length
  heap.push(tick)
  while (index > 0) {
    const parent = (index - 1) >> 1
    const above = heap[parent] ?? -Infinity
    if (above <= tick) break
    heap[index] = above
    index = parent
  }
  heap[index] = tick
}

/** Take the smallest tick out: O(log n). Nothing happens to an empty heap. */
export const pop = (heap: TickHeap): void => {
  const last = heap.pop()
  if (last === undefined || heap.length === 0) return
  let index = 0
  for (;;) {
    const left = 2 * index + 1
    if (left >= heap.length) break
    const right = left + 1
    const child = (heap[right] ?? Infinity) < (heap[left] ?? Infinity) ? right : left
    const below = heap[child] ?? Infinity
    if (below >= last) break
    heap[index] = below
    index = child
  }
  heap[index] = last
}

/** Take everything out. */
export const clear = (heap: TickHeap): void => {
  heap.length = 0
}

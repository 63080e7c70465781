/**
 * A first-in first-out queue whose members can leave from anywhere in O(1): a
 * doubly linked list through the members themselves.
 */

/** What a member carries for the queue. A member is in one queue at most. */
export interface Node<Self> {
  previous: Self | undefined
  next: Self | undefined
}

export interface WaitQueue<A extends Node<A>> {
  head: A | undefined
  tail: A | undefined
  size: number
}

/** An empty queue. */
export const make = <A extends Node<A>>(): WaitQueue<A> => ({ head: undefined, tail: undefined, size: 0 })

/** Join at the end. */
export const push = <A extends Node<A>>(queue: WaitQueue<A>, node: A): void => {
  node.previous = queue.tail
  node.next = undefined
  if (queue.tail === undefined) queue.head = node
  else queue.tail.next = node
  queue.tail = node
  queue.size++
}

/** Leave from anywhere. Gotcha: `node` must be in this queue. */
export const remove = <A extends Node<A>>(queue: WaitQueue<A>, node: A): void => {
  const { next, previous } = node
  if (previous === undefined) queue.head = next
  else previous.next = next
  if (next === undefined) queue.tail = previous
  else next.previous = previous
  node.previous = undefined
  node.next = undefined
  queue.size--
}

/** Take out the first, if there is one. */
export const shift = <A extends Node<A>>(queue: WaitQueue<A>): A | undefined => {
  const first = queue.head
  if (first !== undefined) remove(queue, first)
  return first
}

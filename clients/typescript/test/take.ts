import assert from "node:assert/strict";

/** Returns the next items. Fails if there are not so many. */
export async function take<T>(items: AsyncIterator<T, undefined>, count: number): Promise<T[]> {
  const taken: T[] = [];
  while (taken.length < count) {
    const { done, value } = await items.next();
    assert.ok(!done, `ended after ${taken.length} of ${count}`);
    taken.push(value as T);
  }
  return taken;
}

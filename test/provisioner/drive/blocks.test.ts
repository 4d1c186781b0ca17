import test from 'ava';
import fc from 'fast-check';

import { blockBytes, cutBlocks, inLanes, laneCount } from '../../../provisioner/drive/blocks.ts';

const page = 4096;
const extents = fc.array(fc.tuple(fc.nat(100), fc.integer({ min: 1, max: 1000 }))).map((steps) => {
  let at = 0;
  return steps.map(([gap, pages]) => {
    const extent = { offsetBytes: at + gap * page, sizeBytes: pages * page };
    at = extent.offsetBytes + extent.sizeBytes;
    return extent;
  });
});

test('blocks are exactly the extents, none too large, none across a border', (t) => {
  fc.assert(
    fc.property(extents, (given) => {
      const joined: typeof given = [];
      for (const { offsetBytes, sizeBytes } of cutBlocks(given)) {
        t.true(sizeBytes > 0 && sizeBytes <= blockBytes);
        const starts = given.some((extent) => extent.offsetBytes === offsetBytes);
        if (starts) joined.push({ offsetBytes, sizeBytes });
        else {
          const last = joined.at(-1)!;
          t.is(last.offsetBytes + last.sizeBytes, offsetBytes);
          last.sizeBytes += sizeBytes;
        }
      }
      t.deepEqual(joined, given);
    }),
  );
});

test('as many are under way as there are lanes, each lane with one', async (t) => {
  const busy = new Set<number>();
  let most = 0;
  const done: number[] = [];
  await inLanes([...Array(40).keys()], async (item, index, lane) => {
    t.is(item, index);
    t.false(busy.has(lane));
    busy.add(lane);
    most = Math.max(most, busy.size);
    for (let turn = 0; turn < 5 + ((item * 7) % 5); turn++) await Promise.resolve();
    busy.delete(lane);
    done.push(item);
  });
  t.is(most, laneCount);
  t.deepEqual(done.sort((a, b) => a - b), [...Array(40).keys()]);
});

test('after a failure none is begun, and none is under way when it is told', async (t) => {
  let running = 0;
  const begun: number[] = [];
  const work = inLanes([...Array(20).keys()], async (item) => {
    begun.push(item);
    running++;
    await new Promise((resolve) => setImmediate(resolve));
    running--;
    if (item === 1) throw new Error('the second fails');
  });
  await t.throwsAsync(work, { message: 'the second fails' });
  t.is(running, 0);
  t.true(begun.length <= laneCount + 2, String(begun));
});

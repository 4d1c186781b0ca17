import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { FRAM_BYTES, openFram } from '../../../provisioner/virtual/fram.ts';

const folder = mkdtempSync(join(tmpdir(), 'fram-'));
test.after.always(() => rmSync(folder, { recursive: true }));

test('reads what was written, on from the address, around the end', (t) => {
  const path = join(folder, 'around');
  const fram = openFram(path);
  fram.powerOn(0);
  t.true(fram.write(Uint8Array.of(0x7f, 0xfe, 1, 2, 3, 4), 0));
  t.true(fram.write(Uint8Array.of(0x7f, 0xfe), 0));
  t.deepEqual([...fram.read(3, 0)], [1, 2, 3]);
  t.deepEqual([...fram.read(2, 0)], [4, 0]);
  // The sixteenth address bit is not decoded.
  fram.write(Uint8Array.of(0x80, 0x00), 0);
  t.deepEqual([...fram.read(2, 0)], [3, 4]);
  fram.close();
});

test('every byte is in the file at once', (t) => {
  const path = join(folder, 'file');
  const fram = openFram(path);
  fram.powerOn(0);
  fram.write(Uint8Array.of(0, 5, 9, 8), 0);
  const bytes = readFileSync(path);
  t.is(bytes.length, FRAM_BYTES);
  t.deepEqual([...bytes.subarray(4, 8)], [0, 9, 8, 0]);
  fram.close();
  const again = openFram(path);
  again.powerOn(0);
  again.write(Uint8Array.of(0, 5), 0);
  t.deepEqual([...again.read(2, 0)], [9, 8]);
  again.close();
});

for (let count = 0; count <= 4; count += 1) {
  test(`power that fails after ${count} bytes keeps these and no more`, (t) => {
    const fram = openFram(join(folder, `cut-${count}`));
    fram.powerOn(0);
    let cuts = 0;
    fram.cutAfter(count, () => (cuts += 1));
    t.is(fram.write(Uint8Array.of(0, 0, 1, 2, 3, 4), 0), count === 4);
    t.is(cuts, count === 4 ? 0 : 1);
    fram.powerOff(0);
    fram.powerOn(0);
    fram.write(Uint8Array.of(0, 0), 0);
    t.deepEqual([...fram.read(5, 0)], [1, 2, 3, 4, 0].map((byte) => (byte <= count ? byte : 0)));
    fram.close();
  });
}

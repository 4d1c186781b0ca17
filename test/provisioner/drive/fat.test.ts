import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import test from 'ava';

import { headBytes, usedBytes } from '../../../provisioner/drive/fat.ts';
import { KitError } from '../../../provisioner/errors.ts';

const mib = 1 << 20;
const fats: [name: string, sizeBytes: number, args: string[]][] = [
  ['FAT12', 4 * mib, []],
  ['FAT16', 32 * mib, []],
  ['FAT32', 64 * mib, ['-F']],
  ['FAT32', 64 * mib, ['-F', '-c', '1']],
];

for (const [name, sizeBytes, args] of fats) {
  test(`${name} ${args.join(' ')}: what is in use ends where mtools' last file does`, (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'kit-fat-'));
    const path = join(dir, 'esp');
    writeFileSync(path, '');
    truncateSync(path, sizeBytes);
    const tool = (command: string, words: string[], input = '') =>
      execFileSync(command, ['-i', path, ...words], { input, stdio: 'pipe' });
    const sectors = String(sizeBytes / 512);
    tool('mformat', ['-T', sectors, '-h', '16', '-s', '63', ...args, '::']);
    for (const file of ['a', 'b', 'c']) {
      tool('mcopy', ['-', `::/${file}`], 'x'.repeat(300_000));
      const bytes = readFileSync(path);
      t.is(bytes.toString('latin1', name === 'FAT32' ? 82 : 54).slice(0, 5), name);
      const used = usedBytes(bytes.subarray(0, headBytes(bytes)));
      const last = bytes.lastIndexOf('x') + 1;
      t.true(used >= last && used < last + 65_536, `${used}, the last byte at ${last}`);
      t.true(bytes.subarray(used).equals(Buffer.alloc(sizeBytes - used)), 'nothing after it');
    }
    rmSync(dir, { recursive: true });
  });
}

test('what is no FAT is refused, not guessed at', (t) => {
  const sector = Buffer.alloc(512);
  for (const change of [() => {}, () => sector.writeUInt16LE(0xaa55, 510)]) {
    change();
    const error = t.throws(() => headBytes(sector), { instanceOf: KitError });
    t.is(error.code, 'esp-unwritable');
  }
  // Sizes that contradict each other: more clusters than the FAT has entries for.
  sector.writeUInt16LE(512, 11);
  sector.set([1, 1, 0, 1, 0, 2], 13);
  sector.writeUInt32LE(2 ** 31, 32);
  sector.writeUInt16LE(1, 22);
  t.is(t.throws(() => headBytes(sector), { instanceOf: KitError }).code, 'esp-unwritable');
});

// Entries proven in a real ledger's public files, and every way in which such files can lie.

import test from 'ava';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { checkEntries, type EntriesDeps } from '../../../provisioner/check/ledger-entry.ts';
import { rootWith } from '../../../provisioner/check/log/tiles.ts';
import { leafHash, nodeHash } from '../../../ledger/log/tree.ts';
import { enrolMeter, openTestLedger, temporaryDir } from '../../helpers/ledger-folder.ts';
import { createMeter, digest } from '../../helpers/meter.ts';

const folder = temporaryDir();
const meter = createMeter('alice');
const stranger = createMeter('bob');
/** Two tiles of the lowest level, the second partial: the way up leads through both levels. */
const others = 300;
let publicDir: string;
let vkey: string;
const at = { alice: [] as number[], bob: 0 };

test.before(async () => {
  mkdirSync(folder.dir, { recursive: true });
  const ledger = await openTestLedger(folder.dir);
  vkey = ledger.log().vkey;
  await enrolMeter(ledger, meter);
  at.alice = [1];
  const keys = Array.from({ length: others }, (_, n) => digest(`volunteer ${n}`));
  await Promise.all(keys.map((key) => ledger.admit(key)));
  const size = async () => Number(readFileSync(join(publicDir, 'checkpoint'), 'utf8').split('\n')[1]);
  publicDir = ledger.store.publicDir;
  at.alice.push(await size());
  await ledger.submitBatch(meter.batch());
  at.bob = await size();
  await enrolMeter(ledger, stranger);
  await ledger.close();
});
test.after.always(() => folder.remove());

const read: EntriesDeps['read'] = async (path) => readFileSync(join(publicDir, path));

const asked = (changes: Partial<EntriesDeps> = {}): EntriesDeps => ({
  ...{ meter: meter.idHex, indices: at.alice, ledgerKey: vkey, shownKey: vkey, read },
  ...changes,
});

test('enrolment and last batch are proven', async (t) => {
  const found = await checkEntries(asked());
  t.is(found.measured, `entries ${at.alice.join(' and ')} proven in a signed log of ${at.bob + 1}`);
  t.is(found.state, 'ok');
});

const spoilt = (part: string, spoil: (bytes: Buffer) => Buffer): EntriesDeps['read'] => async (path) =>
  path.includes(part) ? spoil(Buffer.from(await read(path))) : read(path);

const flip = (index: number) => (bytes: Buffer): Buffer => {
  bytes[index < 0 ? bytes.length + index : index] ^= 1;
  return bytes;
};
const replaced = (from: RegExp, to: string) => (bytes: Buffer) =>
  Buffer.from(bytes.toString('utf8').replace(from, to));

const faults: [what: string, changes: () => Partial<EntriesDeps>, measured: RegExp][] = [
  ['another key than the campaign’s', () => ({ shownKey: `x${vkey}` }), /shows another key/],
  ['an entry of another meter', () => ({ indices: [at.bob] }), /^entry \d+ is [0-9a-f]{16}’s$/],
  ['an entry of no meter', () => ({ indices: [0] }), /entry 0 is no meter’s/],
  ['an entry beyond the end', () => ({ indices: [10_000] }), /ENOENT|10000/],
  ['a spoiled tile', () => ({ read: spoilt('tile/0/', flip(40)) }), /does not lead to the root/],
  ['a spoiled upper tile', () => ({ read: spoilt('tile/1/', flip(0)) }), /does not lead|ENOENT/],
  ['a tile cut short', () => ({ read: spoilt('tile/0/', (b) => b.subarray(0, 64)) }), /too short/],
  ['a bundle cut short', () => ({ read: spoilt('entries', (b) => b.subarray(0, 3)) }), /ends before/],
  ['a checkpoint of another size', () => ({ read: spoilt('checkpoint', replaced(/\n\d+\n/, '\n9\n')) }),
    /does not verify/],
  ['a checkpoint of another root', () => ({ read: spoilt('checkpoint', replaced(/\n[A-Za-z0-9+/]{4}/, '\nAAAA')) }),
    /does not verify/],
  ['a checkpoint signed by nobody', () => ({ read: spoilt('checkpoint', replaced(/\n\n— .*/s, '\n\n')) }),
    /not signed by the campaign/],
  ['a checkpoint that is no note', () => ({ read: spoilt('checkpoint', () => Buffer.from('404')) }),
    /no signed note/],
];

for (const [what, changes, measured] of faults) {
  test(`${what} fails`, async (t) => {
    const found = await checkEntries(asked(changes()));
    t.is(found.state, 'failed', found.measured);
    t.regex(found.measured, measured);
    t.not(found.advice, '');
  });
}

test('a campaign without the log’s key proves nothing', async (t) => {
  const found = await checkEntries(asked({ ledgerKey: undefined }));
  t.is(found.state, 'unknown');
  t.regex(found.advice, /ledger_key/);
});

test('in trees of every size, each entry leads to the root, and another one does not', async (t) => {
  const entries = Array.from({ length: 20 }, (_, n) => Buffer.from(`entry ${n}`));
  for (let sizeEntries = 1; sizeEntries <= entries.length; sizeEntries++) {
    const leaves = entries.slice(0, sizeEntries).map((entry) => leafHash(entry));
    const root = rootOf(leaves);
    const tile: EntriesDeps['read'] = async (path) => {
      t.is(path, `tile/0/000.p/${sizeEntries}`);
      return Buffer.concat(leaves);
    };
    for (let index = 0; index < sizeEntries; index++) {
      const place = { index, sizeEntries };
      t.true((await rootWith(entries[index], place, tile)).equals(root));
      t.false((await rootWith(Buffer.from('no entry'), place, tile)).equals(root));
    }
  }
});

/** RFC 6962 § 2.1, as it stands there. */
function rootOf(leaves: Uint8Array[]): Uint8Array {
  if (leaves.length === 1) return leaves[0];
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return nodeHash(rootOf(leaves.slice(0, split)), rootOf(leaves.slice(split)));
}

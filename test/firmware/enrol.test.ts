// Index 0 signs one statement, the same at each boot; another statement or another pairing gets
// another key. Run over the real journal, with a signer that notes what it signed.
import test from 'ava';
import { createHash } from 'node:crypto';
import '../helpers/firmware.ts';
import type { Pairing, StoredKey } from '../../firmware/enrol.ts';

const { enrol } = await import('../../firmware/enrol.ts');
const { openJournal } = await import('../../firmware/journal.ts');
const { signedMessage, signedPart } = await import('../../firmware/report.ts');
const wire = await import('../../firmware/wire.ts');

const sha256 = (...parts: (Buffer | string)[]) =>
  parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest();
const first: Pairing = {
  origin: 'ledger.test/commons', nonce: Buffer.alloc(32, 1), firmwareHash: Buffer.alloc(32, 2),
  height: 5,
};

function memory() {
  const bytes = Buffer.alloc(8192);
  return {
    read: async (address: number, length: number) =>
      Buffer.from(bytes.subarray(address, address + length)),
    readSure: async (_address: number, first: Buffer) => first,
    write: async (address: number, part: Buffer) => void bytes.set(part, address),
  };
}

/** What each key's index 0 has signed, over all boots. */
function bench() {
  const store = memory();
  const spent = new Map<string, Set<string>>();
  let secrets = 0;
  const boot = async (pairing: Pairing) => {
    const journal = await openJournal(store);
    await journal.begin(32_768);
    const open = async (key: StoredKey) => ({
      publicKey: Buffer.concat([sha256(key.seed), Buffer.alloc(20)]),
      signAt: async (message: Buffer, q: number, C: Buffer) => {
        const name = `${key.seed.toString('hex')}/${q}`;
        const signed = sha256(message, C).toString('hex');
        spent.set(name, (spent.get(name) ?? new Set()).add(signed));
        return [Buffer.from(signed, 'hex'), Buffer.of(q)];
      },
    });
    const found = await enrol(
      {
        store: journal, open, digest: sha256, covered: signedPart, sealed: signedMessage,
        makeSecret: () => ({ I: Buffer.alloc(16, ++secrets), seed: Buffer.alloc(24, secrets) }),
        derive: (key, info, salt) => sha256(key, info, salt),
        currentSeq: () => 77,
      },
      pairing,
    );
    return { journal, ...found };
  };
  return { boot, spent };
}

test('the same statement, byte for byte, at each boot until a batch is accepted', async (t) => {
  const { boot, spent } = bench();
  const one = await boot(first);
  const two = await boot(first);
  t.deepEqual(one.statement, two.statement);
  t.is(two.journal.keys.nextSignature, 1);
  const said = wire.decodeEnrol(wire.decodeSign1(Buffer.concat(one.statement!)).payload);
  t.deepEqual(said.nonce, first.nonce);
  t.deepEqual(one.meterId, sha256(said.publicKey).subarray(0, 8));
  await two.journal.accept({ lastHash: sha256('x'), nextSeq: 40, entryIndex: 3, ackedUnixS: 5 });
  const three = await boot({ ...first, firmwareHash: Buffer.alloc(32, 9) });
  t.is(three.statement, null);
  t.deepEqual(three.meterId, one.meterId);
  for (const messages of spent.values()) t.is(messages.size, 1);
});

test('another statement before the first batch: another key, and nothing is left out', async (t) => {
  const { boot, spent } = bench();
  const one = await boot(first);
  const two = await boot({ ...first, firmwareHash: Buffer.alloc(32, 9) });
  t.notDeepEqual(two.meterId, one.meterId);
  t.is(two.journal.link.nextSeq, 1);
  t.is(spent.size, 2);
  for (const messages of spent.values()) t.is(messages.size, 1);
});

test('another pairing: another key, which begins with the interval under way', async (t) => {
  const { boot, spent } = bench();
  const one = await boot(first);
  await one.journal.accept({ lastHash: sha256('x'), nextSeq: 40, entryIndex: 3, ackedUnixS: 5 });
  const two = await boot({ ...first, nonce: Buffer.alloc(32, 3) });
  t.notDeepEqual(two.meterId, one.meterId);
  t.truthy(two.statement);
  t.is(two.journal.link.nextSeq, 77);
  t.is(two.journal.link.lastHash, null);
  for (const messages of spent.values()) t.is(messages.size, 1);
});

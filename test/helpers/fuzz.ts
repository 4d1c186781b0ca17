// Spoilt inputs for every reader of strangers' bytes. A reader may refuse with an error of its own;
// whatever it takes it must write again as the same bytes. Seeded: the same seed, the same inputs.

import { WireError } from '../../firmware/wire.ts';
import { decodeEntry, encodeEntry } from '../../ledger/entry.ts';
import { LedgerError } from '../../ledger/errors.ts';
import { formatCheckpoint, parseCheckpoint } from '../../ledger/log/checkpoint.ts';
import { formatNote, formatVkey, parseNote, parseVkey } from '../../ledger/log/note.ts';
import { parsePolicy } from '../../ledger/log/policy.ts';
import { formatProof, parseProof } from '../../ledger/log/proof.ts';
import { decodeBundle, encodeBundle, parseTilePath, tilePath } from '../../ledger/log/tiles.ts';
import { parseBatch } from '../../ledger/verify/batch.ts';
import { verifyEnrolment } from '../../ledger/verify/enrolment.ts';
import { verifyPrice } from '../../ledger/verify/price.ts';
import { verifyRequest } from '../../ledger/verify/request.ts';
import { verifyRetirement } from '../../ledger/verify/retirement.ts';
import { formatAddCheckpoint, parseAddCheckpoint } from '../../ledger/witness/request.ts';
import type { LargeLog } from './large-log.ts';
import { publish } from './large-log.ts';
import { createMeter, createVolunteer, digest } from './meter.ts';
import { priceBytes } from './price.ts';
import { retirementBytes } from './retirement.ts';

interface Target {
  name: string;
  seeds: Uint8Array[];
  /** Reads; gives what it would write for what it read, or nothing if it has no such form. */
  read(bytes: Uint8Array): Uint8Array | undefined;
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

function targetsOf(log: LargeLog): Target[] {
  const leaves = log.entries.slice(0, 40).map(encodeEntry);
  const note = publish(leaves, new Map()).get('checkpoint')!;
  const vkey = log.policy.split(' ')[1].split('\n')[0];
  const path = [digest('a'), digest('b')];
  // The log's first blobs are its enrolments.
  const enrolments = [...log.blobs.values()].slice(0, 2);
  // Its last are its last owner's requests.
  const requests = [...log.blobs.values()].slice(-3);
  return [
    { name: 'batch', seeds: [createMeter('fuzz').batch()],
      read: (bytes) => void parseBatch(bytes) },
    { name: 'enrolment', seeds: enrolments,
      read: (bytes) => void verifyEnrolment(bytes, 'ledger.test/commons', () => true) },
    { name: 'price', seeds: [priceBytes(createVolunteer('fuzz'))],
      read: (bytes) => void verifyPrice(bytes, 'ledger.test/commons') },
    { name: 'request', seeds: [requests[0], requests[1]],
      read: (bytes) => void verifyRequest(bytes, 'ledger.test/commons') },
    { name: 'retirement', seeds: [retirementBytes(createVolunteer('fuzz'), createMeter('fuzz').id)],
      read: (bytes) => void verifyRetirement(bytes, 'ledger.test/commons') },
    { name: 'entry', seeds: [...leaves.slice(0, 2), ...leaves.slice(-2)],
      read: (bytes) => encodeEntry(decodeEntry(bytes)) },
    { name: 'bundle', seeds: [encodeBundle(leaves.slice(0, 5))],
      read: (bytes) => encodeBundle(decodeBundle(bytes, 5)) },
    { name: 'note', seeds: [note], read: (bytes) => formatNote(parseNote(bytes)) },
    { name: 'checkpoint', seeds: [utf8(parseNote(note).text)],
      read: (bytes) => Buffer.from(formatCheckpoint(parseCheckpoint(latin1(bytes))), 'latin1') },
    { name: 'key', seeds: [utf8(vkey)],
      read: (bytes) => Buffer.from(formatVkey(parseVkey(latin1(bytes))), 'latin1') },
    { name: 'policy', seeds: [utf8(log.policy)], read: (bytes) => void parsePolicy(bytes) },
    { name: 'proof', seeds: [formatProof({ extra: path[0], index: 3, path, checkpoint: note })],
      read: (bytes) => formatProof(parseProof(bytes)) },
    { name: 'witness request', seeds: [formatAddCheckpoint({ oldSize: 9, proof: path, checkpoint: note })],
      read: (bytes) => formatAddCheckpoint(parseAddCheckpoint(bytes)) },
    { name: 'tile path', seeds: [utf8('tile/0/x001/234.p/5'), utf8('tile/entries/000')],
      read(bytes) {
        const tile = parseTilePath(latin1(bytes));
        return tile && Buffer.from(tilePath(tile), 'latin1');
      } },
  ];
}

/** Runs `inputs` spoilt inputs; throws at the first that crashes a reader or comes back changed. */
export function fuzz(log: LargeLog, inputs: number, random: () => number): Record<string, number> {
  const targets = targetsOf(log);
  const taken: Record<string, number> = {};
  for (let i = 0; i < inputs; i++) {
    const { name, seeds, read } = targets[i % targets.length];
    const bytes = spoilt(seeds[Math.floor(random() * seeds.length)], random);
    const told = (): string => `${name}, input ${i}: ${Buffer.from(bytes).toString('hex')}`;
    let again: Uint8Array | undefined;
    try {
      again = read(bytes);
    } catch (error) {
      if (error instanceof LedgerError || error instanceof WireError) continue;
      throw new Error(`crashed: ${told()}`, { cause: error });
    }
    taken[name] = (taken[name] ?? 0) + 1;
    if (again !== undefined && Buffer.compare(again, bytes) !== 0) {
      throw new Error(`written otherwise: ${told()}`);
    }
  }
  return taken;
}

/** One to four changes: a bit, a byte, a cut, a copy of a part, bytes put in. */
function spoilt(seed: Uint8Array, random: () => number): Uint8Array {
  let bytes = Buffer.from(seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  for (let changes = 1 + below(4); changes > 0; changes--) {
    const [at, length] = [below(bytes.length + 1), 1 + below(8)];
    const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
    const kind = below(5);
    if (kind === 0 && at < bytes.length) bytes[at] ^= 1 << below(8);
    else if (kind === 1 && at < bytes.length) bytes[at] = below(256);
    else if (kind === 2) bytes = Buffer.concat([head, tail.subarray(length)]);
    else if (kind === 3) bytes = Buffer.concat([head, bytes.subarray(at, at + length), tail]);
    else bytes = Buffer.concat([head, Buffer.from([below(256), below(256)]), tail]);
  }
  return new Uint8Array(bytes);
}

// A meter and a volunteer for tests of the ledger: real keys, real batches, by firmware/wire.ts.
// Deterministic: the same name gives the same keys and the same readings. Says what it is told to,
// lies included; it keeps no journal and talks to nobody.

import { createHash } from 'node:crypto';
import { Encrypter } from 'age-encryption';
import { encode, rfc8949EncodeOptions } from 'cborg';
import {
  ALG,
  emptyRecord,
  encodeEnrol,
  encodeHeader,
  encodePayload,
  encodeSign1,
  encodeSigStructure,
} from '../../firmware/wire.ts';
import type { Gap, IntervalRecord, Sink } from '../../firmware/wire.ts';
import { signingKey } from '../../ledger/log/ed25519.ts';
import { createSigner } from './lms-signer.ts';
import type { LmsSigner, SignerParameters } from './lms-signer.ts';

export interface BatchOptions {
  /** Hash of the last accepted batch; by default what this meter remembers. */
  previous?: Uint8Array | null;
  gaps?: Gap[];
  /** Index of the one-time key; by default the next one. */
  q?: number;
  /** The signature's randomizer; by default the one-time key's own. */
  C?: Uint8Array;
  /** The key that signs from the next batch on; by default none is named. */
  successor?: Uint8Array | null;
}

export interface TestMeter {
  id: Uint8Array;
  idHex: string;
  publicKey: Uint8Array;
  pairingKey: Uint8Array;
  firmwareHash: Uint8Array;
  /** Makes the key that comes after the newest one, for a batch to name. */
  grow(): Uint8Array;
  /** Signs by the newest key from now on. */
  adopt(): void;
  /** The meter's own part of an enrolment, a COSE_Sign1 with signature index 0. */
  statement(origin: string): Uint8Array;
  /**
   * The next `count` readings, counters and sequence numbers running on; `change` may spoil each.
   */
  records(count: number, change?: (record: IntervalRecord) => IntervalRecord): IntervalRecord[];
  /** Leaves out sequence numbers, as a meter does that lost its journal. */
  skip(count: number): Gap;
  /** Signs a batch and remembers it as accepted: the next one links to it. */
  batch(records?: IntervalRecord[], options?: BatchOptions): Uint8Array;
}

export interface MeterOptions {
  height?: 5 | 10;
  /** Unix time of the end of the first interval. */
  startS?: number;
  intervalS?: number;
  milliW?: number;
  /** Begins with a later one of its keys, as nobody but its maker or a thief could. */
  firstKey?: number;
  /** The tree of its first key, made elsewhere. */
  tree?: Uint8Array[];
}

/** 2026-01-01T00:00:00Z. */
export const START_S = 1_767_225_600;

/** A meter whose keys follow from `name`. One H5 key: 32 signatures, the statement's included. */
export function createMeter(name: string, options: MeterOptions = {}): TestMeter {
  const { height = 5, startS = START_S, intervalS = 900, milliW = 6_000, firstKey = 0, tree } = options;
  const keyOf = (generation: number): LmsSigner =>
    createSigner(keyParameters(name, height, generation));
  let signer = createSigner(keyParameters(name, height, firstKey), tree);
  const grown = [signer];
  const { publicKey } = signer;
  const id = digest(signer.publicKey).subarray(0, 8);
  const firmwareHash = digest('firmware');
  const header = written((out) => encodeHeader(out, ALG.hssLms, id));
  let last: IntervalRecord = { ...emptyRecord(), unixS: startS - intervalS, bootId: 1 };
  let [previous, nextQ]: [Uint8Array | null, number] = [null, 1];

  const sign1 = (payload: Uint8Array, q: number, C?: Uint8Array): Uint8Array => {
    const covered = written((out) => encodeSigStructure(out, header, payload));
    return written((out) => encodeSign1(out, header, payload, signer.sign(covered, q, C)));
  };
  const records: TestMeter['records'] = (count, change = (record) => record) =>
    Array.from({ length: count }, () => {
      last = change(nextRecord(last, intervalS, milliW));
      return last;
    });
  return {
    id,
    idHex: Buffer.from(id).toString('hex'),
    publicKey,
    grow() {
      grown.push(keyOf(firstKey + grown.length));
      return grown.at(-1)!.publicKey;
    },
    adopt() {
      [signer, nextQ] = [grown.at(-1)!, 0];
    },
    pairingKey: digest(`${name} pairing key`),
    firmwareHash,
    statement(origin) {
      const nonce = digest(`${name} nonce`);
      const statement = { origin, publicKey, nonce, firmwareHash };
      return sign1(written((out) => encodeEnrol(out, statement)), 0);
    },
    records,
    skip(count) {
      const gap = { firstSeq: last.lastSeq + 1, lastSeq: last.lastSeq + count };
      last = { ...last, lastSeq: gap.lastSeq, unixS: last.unixS + count * intervalS };
      return gap;
    },
    batch(taken = records(4), options = {}) {
      const { previous: link = previous, gaps = [], q = nextQ, C, successor = null } = options;
      const payload = { meterId: id, records: taken, previous: link, firmwareHash, gaps, successor };
      const batch = sign1(written((out) => encodePayload(out, payload)), q, C);
      nextQ = Math.max(nextQ, q) + 1;
      previous = digest(batch);
      return batch;
    },
  };
}

/** What a meter of that name has its keys from, its first one's number 0. */
export function keyParameters(name: string, height: 5 | 10, generation = 0): SignerParameters {
  const salt = generation === 0 ? '' : ` ${generation}`;
  const seed = digest(`${name} seed${salt}`).subarray(0, 24);
  const identifier = digest(`${name} identifier${salt}`).subarray(0, 16);
  return { n: 24, w: 4, height, identifier, seed };
}

function nextRecord(last: IntervalRecord, intervalS: number, milliW: number): IntervalRecord {
  const seq = last.lastSeq + 1;
  const meanMilliW = milliW + ((seq * 37) % 211);
  return {
    ...last,
    firstSeq: seq,
    lastSeq: seq,
    uptimeS: last.uptimeS + intervalS,
    unixS: last.unixS + intervalS,
    timeState: 2,
    energyMicroWh: last.energyMicroWh + Math.round((meanMilliW * 1000 * intervalS) / 3600),
    minMilliW: meanMilliW - 400,
    meanMilliW,
    maxMilliW: meanMilliW + 900,
    probesMade: last.probesMade + 15,
    probesAnswered: last.probesAnswered + 15,
    upS: last.upS + intervalS,
    wanInBytes: last.wanInBytes + 1_000_000 + ((seq * 7919) % 5000),
    wanOutBytes: last.wanOutBytes + 300_000 + ((seq * 104_729) % 5000),
    diskUsedBytes: 3_000_000_000 + seq * 4096,
    calibrationId: 1,
  };
}

export interface TestVolunteer {
  publicKey: Uint8Array;
  sign(message: Uint8Array): Uint8Array;
  /** As `ledger admit` takes it. */
  text: string;
}

export function createVolunteer(name: string): TestVolunteer {
  const { publicKey, sign } = signingKey(digest(`${name} volunteer`));
  const text = `commons-volunteer-ed25519:${Buffer.from(publicKey).toString('base64')}`;
  return { publicKey, sign, text };
}

export interface EnrolmentOptions {
  origin: string;
  ageRecipient: string;
  /** 0 none, 1 every batch, 2 hourly, 3 daily. */
  publish?: number;
  assurance?: string;
  intervalS?: number;
  privateName?: string;
  /** Puts members of the payload wrong, or others in. */
  change?: (payload: Map<number, unknown>) => void;
}

/** A body for POST /v1/kits: CBOR [enrolment, sealed]. */
export async function enrolmentBody(
  meter: Pick<TestMeter, 'pairingKey' | 'statement'>,
  volunteer: TestVolunteer,
  options: EnrolmentOptions,
): Promise<Uint8Array> {
  const { origin, ageRecipient, publish = 1, assurance = 'virtual', intervalS = 900 } = options;
  const secrets = new Map<number, unknown>([[1, meter.pairingKey], [2, options.privateName ?? '']]);
  const encrypter = new Encrypter();
  encrypter.addRecipient(ageRecipient);
  const sealed = await encrypter.encrypt(encode(secrets, rfc8949EncodeOptions));
  const payload = new Map<number, unknown>([
    [1, 'commons-kit/kit'],
    [2, origin],
    [3, meter.statement(origin)],
    [4, digest(sealed)],
    [5, publish],
    [6, assurance],
    [7, new Map<string, unknown>([['id', 1]])],
    [8, intervalS],
    [9, 850],
  ]);
  options.change?.(payload);
  const bytes = encode(payload, rfc8949EncodeOptions);
  const header = written((out) => encodeHeader(out, ALG.ed25519, volunteer.publicKey));
  const covered = written((out) => encodeSigStructure(out, header, bytes));
  const cose = written((out) => encodeSign1(out, header, bytes, volunteer.sign(covered)));
  return encode([cose, sealed], rfc8949EncodeOptions);
}

/** What an encoder writes, in bytes of just that length. */
export function written(encoder: (out: Sink) => void): Uint8Array {
  const bytes = new Uint8Array(20_000);
  const out = { bytes, at: 0 };
  encoder(out);
  return bytes.slice(0, out.at);
}

export function digest(input: Uint8Array | string): Uint8Array {
  return new Uint8Array(createHash('sha256').update(input).digest());
}

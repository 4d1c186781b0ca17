// A kit's enrolment, as bytes: reads the meter's statement, and wraps the volunteer's around it, as
// docs/wire.md draws both. Owns the volunteer's half. The statement's own signature is verified by
// the ledger; here what it says is held against what was asked. No I/O but the seal's randomness.

import { createHash } from 'node:crypto';
import { Encrypter } from 'age-encryption';
import { encode, rfc8949EncodeOptions } from 'cborg';
import { ALG, decodeEnrol, decodeSign1, METER_ID_BYTES } from '../../firmware/wire.ts';
import type { Publish } from '../campaign/campaign.ts';
import { signAsVolunteer, type Volunteer } from '../campaign/volunteer-sign1.ts';
import { KitError } from '../errors.ts';

const KIT_CONTEXT = 'commons-kit/kit';
const PUBLISH: Record<Publish, number> = { none: 0, batch: 1, hour: 2, day: 3 };

export interface MeterStatement {
  /** The COSE_Sign1 as the meter signed it. */
  bytes: Uint8Array;
  meterId: Uint8Array;
  publicKey: Uint8Array;
}

export interface Asked {
  origin: string;
  nonce: Uint8Array;
  firmwareHash: Uint8Array;
}

/** @throws KitError `statement-invalid` it is none, or answers another question */
export function readStatement(bytes: Uint8Array, asked: Asked): MeterStatement {
  const { envelope, statement } = decodeStatement(bytes);
  const { kid } = envelope;
  const meterId = sha256(statement.publicKey).subarray(0, METER_ID_BYTES);
  const checks: [name: string, expected: string, got: string][] = [
    ['algorithm', String(ALG.hssLms), String(envelope.alg)],
    ['meter id', hex(meterId), kid === null ? 'none' : hex(kid)],
    ['origin', asked.origin, statement.origin],
    ['nonce', hex(asked.nonce), hex(statement.nonce)],
    ['firmware hash', hex(asked.firmwareHash), hex(statement.firmwareHash)],
  ];
  for (const [name, expected, got] of checks) {
    if (expected !== got) throw invalid(`${name} ${expected}`, got);
  }
  return { bytes, meterId, publicKey: statement.publicKey };
}

function decodeStatement(bytes: Uint8Array) {
  try {
    const envelope = decodeSign1(bytes);
    return { envelope, statement: decodeEnrol(envelope.payload) };
  } catch (cause) {
    throw invalid('a COSE_Sign1 with an enrolment statement', (cause as Error).message, cause);
  }
}

export interface Terms {
  publish: Publish;
  assurance: string;
  /** Its `id` is what the meter's records name. */
  calibration: { id: number } & Record<string, string | number>;
  intervalS: number;
  /** Of the node's own supply: what the meter sees per 1000 parts taken from the mains. */
  supplyEfficiencyPermille: number;
  /** 32 bytes: whose requests about the meter's readings the ledger grants. */
  ownerKey: Uint8Array;
}

export interface Sealing {
  /** The ledger's, `age1…`. */
  recipient: string;
  pairingKey: Uint8Array;
  /** Shown to nobody but the ledger's operator. */
  privateName: string;
}

/** The body of POST /v1/kits, CBOR `[enrolment, sealed]`. Random by its seal. */
export async function makeEnrolment(
  statement: MeterStatement,
  volunteer: Volunteer,
  parts: { origin: string; terms: Terms; sealing: Sealing },
): Promise<Uint8Array> {
  const { origin, terms, sealing } = parts;
  const sealed = await seal(sealing);
  const payload = encode(
    new Map<number, unknown>([
      [1, KIT_CONTEXT],
      [2, origin],
      [3, statement.bytes],
      [4, sha256(sealed)],
      [5, PUBLISH[terms.publish]],
      [6, terms.assurance],
      [7, terms.calibration],
      [8, terms.intervalS],
      [9, terms.supplyEfficiencyPermille],
      [10, terms.ownerKey],
    ]),
    rfc8949EncodeOptions,
  );
  return encode([signAsVolunteer(payload, volunteer), sealed], rfc8949EncodeOptions);
}

async function seal({ recipient, pairingKey, privateName }: Sealing): Promise<Uint8Array> {
  const encrypter = new Encrypter();
  encrypter.addRecipient(recipient);
  const secrets = new Map<number, unknown>([[1, pairingKey], [2, privateName]]);
  return encrypter.encrypt(encode(secrets, rfc8949EncodeOptions));
}

function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(bytes).digest());
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function invalid(expected: string, got: string, cause?: unknown): KitError {
  return new KitError({
    code: 'statement-invalid',
    message: 'The meter’s enrolment statement is not what was asked of it',
    ...{ expected, got, cause },
    hint: 'Pair the meter again; if it stays, write its firmware anew.',
  });
}

// Answers to a meter: the reply of docs/wire.md in a COSE_Mac0 under the pairing key, bound to the
// nonce of this very attempt. The HTTP status says the same to whatever stands between.

import { createHmac } from 'node:crypto';
import {
  ALG, encodeHeader, encodeMac0, encodeMacStructure, encodeReply, REPLY,
} from '../firmware/wire.ts';
import type { MeterState } from './ingest.ts';
import { written } from './verify/batch.ts';

export interface ReplyParts {
  kind: keyof typeof REPLY;
  origin: string;
  meter: MeterState;
  batchHash: Uint8Array;
  nonce: Uint8Array;
  entryIndex: number;
  nowMs: number;
}

export const REPLY_STATUS = {
  accepted: 200,
  repeated: 200,
  notNext: 409,
  invalid: 422,
  tryLater: 503,
} as const;

/** Where a meter's own count begins; a first batch may begin later. */
const FIRST_SEQ = 1;

/** Fits an origin of 96 characters and all else, envelope included. */
const MAX_REPLY_BYTES = 512;

export function sealReply(parts: ReplyParts, pairingKey: Uint8Array): Uint8Array {
  const { kind, origin, meter, batchHash, nonce, entryIndex, nowMs } = parts;
  const { id: meterId, last } = meter;
  const reply = {
    kind: REPLY[kind],
    origin,
    meterId,
    batchHash,
    nonce,
    entryIndex,
    nextSeq: last === null ? FIRST_SEQ : last.lastRecord.lastSeq + 1,
    lastHash: last === null ? null : last.hash,
    unixS: Math.floor(nowMs / 1000),
  };
  const payload = written(MAX_REPLY_BYTES, (out) => encodeReply(out, reply));
  const header = written(16, (out) => encodeHeader(out, ALG.hmac256, null));
  const covered = written(MAX_REPLY_BYTES, (out) => encodeMacStructure(out, header, payload));
  const tag = new Uint8Array(createHmac('sha256', pairingKey).update(covered).digest());
  return written(MAX_REPLY_BYTES, (out) => encodeMac0(out, header, payload, tag));
}

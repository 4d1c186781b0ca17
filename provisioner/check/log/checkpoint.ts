// A log's checkpoint, opened with a key that was known before: https://c2sp.org/tlog-checkpoint
// within https://c2sp.org/signed-note. Written apart from the ledger, whose word it checks. Pure.
//
//   <origin>
//   <tree size, decimal>
//   <root hash, base64>
//   (extensions, an empty line, then lines)
//   — <name> <base64(key id || signature)>

import { verify } from 'node:crypto';

import type { LogKey } from '../../campaign/log-key.ts';

export interface Checkpoint {
  sizeEntries: number;
  /** SHA-256, 32 bytes. */
  root: Buffer;
}

/** @throws Error in words, when it is malformed, another log's, or not signed by this key */
export function openCheckpoint(note: Buffer, { name, id, key }: LogKey): Checkpoint {
  const split = note.lastIndexOf('\n\n');
  if (split < 0) throw new Error('the checkpoint is no signed note');
  const text = note.subarray(0, split + 1);
  const lines = note.toString('utf8', split + 2).split('\n');
  const blobs = lines
    .filter((line) => line.startsWith(`— ${name} `))
    .map((line) => Buffer.from(line.slice(`— ${name} `.length), 'base64'))
    .filter((blob) => blob.length === 68 && blob.subarray(0, 4).equals(id));
  if (blobs.length === 0) throw new Error('the checkpoint is not signed by the campaign’s key');
  if (!blobs.some((blob) => verify(null, text, key, blob.subarray(4)))) {
    throw new Error('the checkpoint’s signature does not verify');
  }
  const [origin, size, root] = text.toString('utf8').split('\n');
  if (origin !== name) throw new Error(`the checkpoint is of ${origin}`);
  const hash = Buffer.from(root ?? '', 'base64');
  if (!/^(0|[1-9]\d{0,14})$/.test(size ?? '') || hash.length !== 32) {
    throw new Error('the checkpoint has no size and root');
  }
  return { sizeEntries: Number(size), root: hash };
}

// What a witness answers to a submitted checkpoint: a pure function of the one that it cosigned
// last and of what came. The order of the checks, and each status, are https://c2sp.org/tlog-witness
// § add-checkpoint.

import { LedgerError } from '../errors.ts';
import type { Checkpoint } from '../log/checkpoint.ts';
import { parseCheckpoint } from '../log/checkpoint.ts';
import type { VerifierKey } from '../log/note.ts';
import { formatNote, openNote, parseNote } from '../log/note.ts';
import type { TreeHead } from '../log/tree.ts';
import { checkConsistency, EMPTY_ROOT, equal } from '../log/tree.ts';
import type { AddCheckpoint } from './request.ts';
import { parseAddCheckpoint } from './request.ts';

/** What a log that was never seen stands at. */
export const NOTHING: TreeHead = { size: 0, root: EMPTY_ROOT };

/**
 * What a signed checkpoint that was refused may show of its log:
 * - `fork`: two roots of one size, both signed. A proof of misbehaviour by itself.
 * - `inconsistent`: a larger tree, and no proof that it grew from the one known.
 * - `rollback`: a smaller tree than the one known. An old checkpoint sent late looks the same.
 */
export type Suspicion = 'fork' | 'inconsistent' | 'rollback';

export interface Submission extends AddCheckpoint, Checkpoint {
  /** The text that signatures cover. */
  text: string;
  /** The note with its log's own signatures alone: anybody may have added others. */
  checkpoint: Uint8Array;
}

/** Extension lines included; of what was refused, hundreds are kept. */
const MAX_TEXT_CHARS = 16_384;

export type Judgement =
  | { status: 200 }
  | { status: 400 | 422; reason: LedgerError; suspicion?: Suspicion }
  | { status: 409; suspicion?: Suspicion };

/**
 * Reads a body and verifies who signed it. Throws LedgerError `malformed-request` (400),
 * `unknown-log` (404), `not-signed` (403).
 */
export function readSubmission(body: Uint8Array, logs: readonly VerifierKey[]): Submission {
  const request = parseAddCheckpoint(body);
  const { text } = asRequest(() => parseNote(request.checkpoint));
  const parts = asRequest(() => parseCheckpoint(text));
  if (text.length > MAX_TEXT_CHARS) {
    throw refusal('malformed-request', `a checkpoint of at most ${MAX_TEXT_CHARS} characters`);
  }
  const keys = logs.filter(({ name }) => name === parts.origin);
  if (keys.length === 0) throw refusal('unknown-log', 'the origin of a log that is witnessed here');
  const checkpoint = signedBy(keys, request.checkpoint, parts.origin);
  return { ...request, ...parts, text, checkpoint };
}

/** The note without the signatures of others. */
function signedBy(keys: readonly VerifierKey[], bytes: Uint8Array, origin: string): Uint8Array {
  try {
    const { text, verified } = openNote(bytes, keys);
    const signatures = verified.map(({ key: { name, keyId }, signature }) =>
      ({ name, keyId, signature }));
    return formatNote({ text, signatures });
  } catch (cause) {
    throw refusal('not-signed', `a signature by ${origin}`, cause);
  }
}

/** Judges a submission whose signature holds, by the last tree head cosigned for its origin. */
export function judge(submission: Submission, known: TreeHead): Judgement {
  const { oldSize, size, root, proof } = submission;
  const isFork = size === known.size && !equal(root, known.root);
  const suspicion = isFork ? 'fork' : size < known.size ? 'rollback' : undefined;
  if (oldSize > size) {
    const reason = refusal('malformed-request', `an old size of at most ${size}`);
    return { status: 400, reason, suspicion };
  }
  if (oldSize !== known.size || isFork) return { status: 409, suspicion };
  const isProven = oldSize === 0 ? proof.length === 0 : checkConsistency(proof, known, submission);
  if (isProven) return { status: 200 };
  const reason = refusal('not-consistent', `a consistency proof from ${oldSize} to ${size}`);
  return { status: 422, reason, suspicion: 'inconsistent' };
}

function asRequest<T>(parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (!(cause instanceof LedgerError)) throw cause;
    throw refusal('malformed-request', cause.expected ?? 'a checkpoint', cause);
  }
}

function refusal(code: string, expected: string, cause?: unknown): LedgerError {
  const message = 'Checkpoint not cosigned';
  return new LedgerError({ code, message, expected, got: 'another', cause });
}

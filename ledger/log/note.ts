// Signed notes and verifier keys, by https://c2sp.org/signed-note. Owns the text form of both:
//
//   text, lines ending in newline        key   <name>+<key id, 8 hex>+<base64(type || public key)>
//   (empty line)
//   — <key name> <base64(key id, 4 bytes || signature)>
//
// A note says nothing until openNote() has verified it against keys that the caller already trusts.
// It never looks keys up and never trusts a signature for its key's name alone.

import { createHash } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { LedgerError } from '../errors.ts';
import { decodeBase64, encodeBase64 } from './base64.ts';
import { ED25519_KEY_BYTES, importPublicKey, signingKey, verifyEd25519 } from './ed25519.ts';

/** Signature type bytes (signed-note § Signature types). */
export const SIGNATURE_TYPE = { ed25519: 0x01, cosignatureV1: 0x04 } as const;
export type SignatureType = (typeof SIGNATURE_TYPE)[keyof typeof SIGNATURE_TYPE];

/** § Format: at least 16 must be accepted; 100 is what the Go implementation takes. */
const MAX_SIGNATURES = 100;
/** 100 post-quantum signatures of 5 kB, in base64, and a text. */
export const MAX_NOTE_BYTES = 1_000_000;

export interface VerifierKey {
  name: string;
  /** The four bytes before each signature, as a number. */
  keyId: number;
  type: SignatureType;
  publicKey: Uint8Array;
  key: KeyObject;
}

export interface NoteSignature {
  name: string;
  keyId: number;
  signature: Uint8Array;
}

export interface Note {
  /** With its final newline. */
  text: string;
  signatures: NoteSignature[];
}

/** Splits a note; verifies nothing. Throws LedgerError `malformed-note`. */
export function parseNote(bytes: Uint8Array): Note {
  if (bytes.length > MAX_NOTE_BYTES) throw malformed('a note below 1 MB', `${bytes.length} bytes`);
  const note = decodeText(bytes);
  // The text is separated from the signatures by the last empty line.
  const split = note.lastIndexOf('\n\n');
  if (split < 0 || !note.endsWith('\n')) throw malformed('text, empty line, signatures', 'no such');
  const lines = note.slice(split + 2, -1).split('\n');
  if (lines.length > MAX_SIGNATURES) throw malformed('at most 100 signatures', `${lines.length}`);
  return { text: note.slice(0, split + 1), signatures: lines.map(parseSignatureLine) };
}

/** The bytes of a note; the inverse of {@link parseNote}. */
export function formatNote({ text, signatures }: Note): Uint8Array {
  return new TextEncoder().encode(`${text}\n${signatures.map(formatSignatureLine).join('')}`);
}

export interface OpenedNote extends Note {
  /** The keys whose signatures verified, in the order of their lines. */
  verified: { key: VerifierKey; signature: Uint8Array }[];
}

/**
 * Verifies a note against the keys that the caller trusts; signatures by others are ignored.
 * `verifySignature` decides by the key's type (a cosignature covers more than the text).
 * Throws LedgerError: `malformed-note`; `bad-signature` if a known key's signature does not verify;
 * `unknown-signers` if no signature is by a known key.
 */
export function openNote(
  bytes: Uint8Array,
  trusted: readonly VerifierKey[],
  verifySignature = verifyNoteSignature,
): OpenedNote {
  const note = parseNote(bytes);
  const verified: OpenedNote['verified'] = [];
  for (const { name, keyId, signature } of note.signatures) {
    const key = trusted.find((candidate) => candidate.name === name && candidate.keyId === keyId);
    if (key === undefined || verified.some((earlier) => earlier.key === key)) continue;
    if (!verifySignature(key, note.text, signature)) {
      const got = `a signature that does not verify, by ${name}+${hexId(keyId)}`;
      throw new LedgerError({ code: 'bad-signature', message: 'Note refused', got });
    }
    verified.push({ key, signature });
  }
  if (verified.length === 0) {
    const expected = trusted.map((key) => `${key.name}+${hexId(key.keyId)}`).join(' or ');
    const got = note.signatures.map(({ name, keyId }) => `${name}+${hexId(keyId)}`).join(', ');
    throw new LedgerError({ code: 'unknown-signers', message: 'Note refused', expected, got });
  }
  return { ...note, verified };
}

/** § Ed25519 signatures: over the note's text. */
export function verifyNoteSignature(
  key: VerifierKey,
  text: string,
  signature: Uint8Array,
): boolean {
  if (key.type !== SIGNATURE_TYPE.ed25519) return false;
  return verifyEd25519(key.key, new TextEncoder().encode(text), signature);
}

/** Signs `text` (ending in a newline) with an Ed25519 seed under `name`. */
export function signNote(text: string, name: string, seed: Uint8Array): Note {
  if (!text.endsWith('\n')) throw malformed('text ending in a newline', `${text.at(-1)}`);
  const { publicKey, sign } = signingKey(seed);
  const key = verifierKey(checkName(name), SIGNATURE_TYPE.ed25519, publicKey);
  const signature = sign(new TextEncoder().encode(text));
  return { text, signatures: [{ name, keyId: key.keyId, signature }] };
}

/** A verifier key from its parts, its id as § Signatures recommends. */
export function verifierKey(
  name: string,
  type: SignatureType,
  publicKey: Uint8Array,
): VerifierKey {
  const hash = createHash('sha256').update(`${name}\n`);
  const keyId = hash.update(Uint8Array.of(type)).update(publicKey).digest().readUInt32BE(0);
  return { name, keyId, type, publicKey, key: importPublicKey(publicKey) };
}

/** Reads a vkey (§ Verifier keys). Throws LedgerError `malformed-vkey`. */
export function parseVkey(text: string): VerifierKey {
  const refuse = (expected: string): LedgerError =>
    new LedgerError({ code: 'malformed-vkey', message: 'Key refused', expected, got: text });
  const parts = text.split('+');
  // base64 may itself hold plus signs: only the first two separate.
  const [name, id, material] = [parts[0], parts[1] ?? '', parts.slice(2).join('+')];
  if (!isKeyName(name)) throw refuse('a key name without spaces');
  const bytes = decodeBase64(material);
  if (bytes === undefined) throw refuse('base64 after the second plus sign');
  const type = Object.values(SIGNATURE_TYPE).find((known) => known === bytes[0]);
  if (type === undefined || bytes.length !== 1 + ED25519_KEY_BYTES) {
    throw refuse('an Ed25519 note key (type 01) or cosignature key (type 04)');
  }
  const key = verifierKey(name, type, bytes.subarray(1));
  if (hexId(key.keyId) !== id) throw refuse(`key id ${hexId(key.keyId)}`);
  return key;
}

/** The text form of a key; the inverse of {@link parseVkey}. */
export function formatVkey({ name, keyId, type, publicKey }: VerifierKey): string {
  return `${name}+${hexId(keyId)}+${encodeBase64(Uint8Array.of(type, ...publicKey))}`;
}

function decodeText(bytes: Uint8Array): string {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    const parts = { code: 'malformed-note', message: 'Note refused', expected: 'valid UTF-8' };
    throw new LedgerError({ ...parts, cause });
  }
  const control = /[\u0000-\u0009\u000b-\u001f]/.exec(text);
  if (control) throw malformed('no control characters but newline', JSON.stringify(control[0]));
  return text;
}

function parseSignatureLine(line: string): NoteSignature {
  const match = /^\u2014 ([^ ]+) ([^ ]+)$/.exec(line);
  const blob = match ? decodeBase64(match[2]) : undefined;
  if (!match || !isKeyName(match[1]) || blob === undefined || blob.length < 5) {
    throw malformed('\u2014 <key name> <base64>', line.slice(0, 80));
  }
  const keyId = new DataView(blob.buffer, blob.byteOffset).getUint32(0);
  return { name: match[1], keyId, signature: blob.subarray(4) };
}

/** `— <name> <base64>` and a newline. */
export function formatSignatureLine({ name, keyId, signature }: NoteSignature): string {
  const id = new Uint8Array(4);
  new DataView(id.buffer).setUint32(0, keyId);
  return `\u2014 ${checkName(name)} ${encodeBase64(Buffer.concat([id, signature]))}\n`;
}

/** § Format: non-empty, no Unicode spaces, no plus. */
export function isKeyName(name: string): boolean {
  return name !== '' && !/[\s+\u0085]/u.test(name);
}

function checkName(name: string): string {
  if (!isKeyName(name)) throw malformed('a key name without spaces or plus', JSON.stringify(name));
  return name;
}

function hexId(keyId: number): string {
  return keyId.toString(16).padStart(8, '0');
}

function malformed(expected: string, got: string): LedgerError {
  return new LedgerError({ code: 'malformed-note', message: 'Note refused', expected, got });
}

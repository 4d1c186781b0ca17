// An owner's key as it stands on the leaflet that came with a kit, and as it is typed off it: eight
// groups of five letters and a check digit, `lusab-babad-…-7`. Or, for a key of another making, 64
// hex digits. What is read is never repeated: a mistyped key is nearly one.
//
//   seed = SHA-256("commons-kit/owner-key:" ‖ the words, small, hyphens between)
//
// The digit is ISO/IEC 7064 MOD 37-2 over the letters. provisioner/campaign/owner-key.ts makes keys.

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { LedgerError } from './errors.ts';
import type { SigningKey } from './log/ed25519.ts';
import { signingKey } from './log/ed25519.ts';

const EXPECTED = 'the eight words and the digit on the owner’s leaflet';
/** 41 characters, and however many spaces and hyphens somebody puts between them. */
const MAX_TEXT = 4_096;

/** From a file, or for `-` the first line of `input`. Throws LedgerError `bad-owner-key`. */
export async function readOwnerKey(path: string, input: Readable): Promise<SigningKey> {
  if (path === '-') return parseOwnerKey(await firstLine(input));
  const text = await readFile(path, 'utf8').catch((cause: Error) => {
    throw bad(cause.message, cause);
  });
  return parseOwnerKey(text);
}

async function firstLine(input: Readable): Promise<string> {
  for await (const line of createInterface({ input })) return line;
  throw bad('nothing');
}

/** As it was typed: capitals, spaces and hyphens do not matter. Throws LedgerError `bad-owner-key`. */
export function parseOwnerKey(text: string): SigningKey {
  if (text.length > MAX_TEXT) throw bad('more than that');
  const typed = text.toLowerCase().replace(/[\s-]/g, '');
  if (/^[0-9a-f]{64}$/.test(typed)) return signingKey(new Uint8Array(Buffer.from(typed, 'hex')));
  if (!/^[a-z]{40}[2-9]$/.test(typed)) throw bad('something else');
  if (checkDigit(typed.slice(0, -1)) !== Number(typed.at(-1))) throw bad('a typing mistake: look again');
  const words = typed.match(/.{1,5}/g)!.join('-');
  return signingKey(createHash('sha256').update(`commons-kit/owner-key:${words}`).digest());
}

/** ISO/IEC 7064:2003 § 7.2: letters count from 10, weights are powers of two modulo 37. */
function checkDigit(letters: string): number {
  const value = (letter: string): number => letter.charCodeAt(0) - 'a'.charCodeAt(0) + 10;
  const sum = [...letters].reduce((before, letter) => ((before + value(letter)) * 2) % 37, 0);
  return (38 - sum) % 37;
}

function bad(got: string, cause?: unknown): LedgerError {
  const parts = { code: 'bad-owner-key', message: 'The owner’s key cannot be read', cause };
  return new LedgerError({ ...parts, expected: EXPECTED, got, exitCode: 2 });
}

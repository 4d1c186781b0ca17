// volunteer.key: who makes the kits. An age identity that opens the bench's secrets, and an Ed25519
// key that signs enrolments. This file owns the format of volunteer.key; it is text, one value a
// line, so that a person can keep it on paper:
//
//   # commons-kit volunteer key …
//   # public key: commons-volunteer-ed25519:BASE64
//   AGE-SECRET-KEY-1…
//   COMMONS-VOLUNTEER-ED25519-SEED:BASE64 of 32 bytes
//
// Never written over, never read when others could have read it, never printed.

import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

import { generateX25519Identity, identityToRecipient } from 'age-encryption';

import { KitError } from '../errors.ts';
import { createDurably } from './durable.ts';

/** Fills a fresh array with that many bytes; at the edge `randomBytes` of node:crypto. */
export type RandomSource = (sizeBytes: number) => Uint8Array;

export interface VolunteerIdentity {
  file: string;
  /** `AGE-SECRET-KEY-1…`: secret. */
  ageIdentity: string;
  /** `age1…`: public. */
  ageRecipient: string;
  /** Ed25519, for `crypto.sign(null, bytes, signingKey)`. */
  signingKey: KeyObject;
  /** 32 bytes. */
  publicKey: Uint8Array;
  /** `commons-volunteer-ed25519:BASE64`: what `ledger admit` takes. */
  publicKeyText: string;
}

const publicPrefix = 'commons-volunteer-ed25519:';
const seedPrefix = 'COMMONS-VOLUNTEER-ED25519-SEED:';
/** The file is four lines; whatever is longer is something else. */
const maxFileBytes = 4096;

/**
 * Reads the identity, making it first when there is none.
 * @param deps.mustExist there are secrets that only the one in use before opens
 * @throws KitError `identity-exposed` when others may read it, `identity-invalid`,
 *   `identity-missing`
 */
export async function openIdentity(
  file: string,
  { random, mustExist = false }: { random: RandomSource; mustExist?: boolean },
): Promise<VolunteerIdentity> {
  const path = resolve(file);
  const known = await readPrivate(path);
  if (known === undefined && mustExist) throw missing(path);
  return parseIdentity(known ?? (await makeIdentity(path, random)), path);
}

/** `--identity FILE`, else KIT_IDENTITY, else the place for it in the user's configuration. */
export function identityPath(option: string | undefined, env: NodeJS.ProcessEnv): string {
  const config = env['XDG_CONFIG_HOME'] || join(env['HOME'] || homedir(), '.config');
  return resolve(option ?? (env['KIT_IDENTITY'] || join(config, 'commons-kit', 'volunteer.key')));
}

export function volunteerKeyText(publicKey: Uint8Array): string {
  return publicPrefix + Buffer.from(publicKey).toString('base64');
}

/** The inverse of {@link volunteerKeyText}. @throws KitError `volunteer-key-invalid` */
export function parseVolunteerKey(text: string): Uint8Array {
  const bytes = Buffer.from(text.slice(publicPrefix.length), 'base64');
  if (bytes.length === 32 && volunteerKeyText(bytes) === text) return new Uint8Array(bytes);
  throw new KitError({
    code: 'volunteer-key-invalid',
    message: 'This is not a volunteer’s public key',
    expected: `${publicPrefix} and 44 characters of base64`,
    got: text.slice(0, 100),
    hint: 'Copy the whole “public key” line of volunteer.key.',
    exitCode: 2,
  });
}

/** An Ed25519 private key from its 32-byte seed (RFC 8032 § 5.1.5), as PKCS #8 (RFC 8410 § 7). */
export function ed25519FromSeed(seed: Uint8Array): { key: KeyObject; publicKey: Uint8Array } {
  const pkcs8Head = Buffer.from('302e020100300506032b657004220420', 'hex');
  const der = Buffer.concat([pkcs8Head, seed]);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const { x } = createPublicKey(key).export({ format: 'jwk' });
  return { key, publicKey: new Uint8Array(Buffer.from(x as string, 'base64url')) };
}

/** Checked on the open file, so that it cannot be swapped between the look and the reading. */
async function readPrivate(path: string): Promise<string | undefined> {
  // A pipe in its place is not waited for.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK;
  const file = await open(path, flags).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  if (file === undefined) return undefined;
  try {
    const stats = await file.stat();
    if (!stats.isFile()) throw invalid(path, stats.isDirectory() ? 'a folder' : 'no file');
    const { mode, size } = stats;
    if ((mode & 0o077) !== 0) throw exposed(path, mode & 0o777);
    if (size > maxFileBytes) throw invalid(path, `${size} bytes`);
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

async function makeIdentity(path: string, random: RandomSource): Promise<string> {
  const seed = random(32);
  const text = [
    '# commons-kit volunteer key: whoever has it opens the secrets of your kits, and signs as you.',
    '# Keep a copy in a safe place; nothing can replace it.',
    `# public key: ${volunteerKeyText(ed25519FromSeed(seed).publicKey)}`,
    await generateX25519Identity(),
    seedPrefix + Buffer.from(seed).toString('base64'),
    '',
  ].join('\n');
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const made = await createDurably(path, text, 0o600);
  // Somebody else was quicker: theirs is the identity.
  return made ? text : (await readPrivate(path))!;
}

async function parseIdentity(text: string, file: string): Promise<VolunteerIdentity> {
  const lines = text.split('\n').map((line) => line.trim());
  const ageIdentity = lines.find((line) => line.startsWith('AGE-SECRET-KEY-1'));
  const seedText = lines.find((line) => line.startsWith(seedPrefix))?.slice(seedPrefix.length);
  if (ageIdentity === undefined) throw invalid(file, 'no AGE-SECRET-KEY-1 line');
  const seed = Buffer.from(seedText ?? '', 'base64');
  if (seed.length !== 32) throw invalid(file, `a ${seedPrefix} line of ${seed.length} bytes`);
  // age's own words are dropped: they may repeat the secret line.
  const ageRecipient = await identityToRecipient(ageIdentity).catch(() => {
    throw invalid(file, 'an AGE-SECRET-KEY-1 line that age refuses');
  });
  const { key: signingKey, publicKey } = ed25519FromSeed(seed);
  const publicKeyText = volunteerKeyText(publicKey);
  return { file, ageIdentity, ageRecipient, signingKey, publicKey, publicKeyText };
}

function missing(path: string): KitError {
  return new KitError({
    code: 'identity-missing',
    message: 'The volunteer key that this campaign’s secrets are sealed to is not here',
    expected: `a volunteer key at ${path}`,
    got: 'no such file; none was made, for a new one would open nothing',
    hint: 'Name it with --identity FILE (under sudo: ~/.config/commons-kit/volunteer.key), or restore it.',
    exitCode: 2,
  });
}

function exposed(path: string, mode: number): KitError {
  return new KitError({
    code: 'identity-exposed',
    message: `Others may read ${path}`,
    expected: 'a file that only you can read (0600)',
    got: mode.toString(8).padStart(4, '0'),
    hint: `Run chmod 600 ${path}, and think about who may have read it.`,
    exitCode: 2,
  });
}

function invalid(path: string, got: string): KitError {
  return new KitError({
    code: 'identity-invalid',
    message: `${path} is not a volunteer key`,
    expected: `an AGE-SECRET-KEY-1 line and a ${seedPrefix} line of 32 bytes`,
    got,
    hint: 'Restore your copy, or name the right file with --identity FILE.',
    exitCode: 2,
  });
}

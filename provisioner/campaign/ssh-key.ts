// Ed25519 keys as OpenSSH writes them: the private key file, the public line, the fingerprint.
// This file owns those three forms and nothing else; where keys are kept is secrets.ts's matter.
// Formats: PROTOCOL.key of OpenSSH (openssh-key-v1), RFC 4253 § 6.6, RFC 8709 § 4.

import { createHash } from 'node:crypto';

import { ed25519FromSeed, type RandomSource } from './identity.ts';

const nothing = Buffer.alloc(0);
const magic = Buffer.from('openssh-key-v1\0');

export interface SshKey {
  /** OpenSSH PEM without a passphrase: secret. */
  privatePem: string;
  /** `ssh-ed25519 AAAA… comment`, without a line end. */
  publicLine: string;
  /** `SHA256:…`, as ssh-keygen -l shows it. */
  fingerprint: string;
}

/** @param comment tells people where the key belongs; it is public */
export function makeSshKey(comment: string, random: RandomSource): SshKey {
  const seed = random(32);
  const { publicKey } = ed25519FromSeed(seed);
  const publicBlob = sshEd25519Blob(publicKey);
  return {
    privatePem: pem(privateFile({ seed, publicKey, publicBlob, comment, check: random(4) })),
    publicLine: `ssh-ed25519 ${publicBlob.toString('base64')} ${comment}`,
    fingerprint: sshFingerprint(publicBlob),
  };
}

/**
 * The inverse of {@link makeSshKey}: of a file as OpenSSH keeps it, without a passphrase.
 * @returns undefined where it is no such key, or its halves do not belong together
 */
export function readSshKey(privatePem: string): SshKey | undefined {
  const body = /^-----BEGIN OPENSSH PRIVATE KEY-----\n([A-Za-z0-9+/=\n]+)-----END /.exec(privatePem);
  const bytes = Buffer.from(body?.[1] ?? '', 'base64');
  if (!bytes.subarray(0, magic.length).equals(magic)) return undefined;
  const [cipher, , , keys = nothing] = readStrings(bytes.subarray(magic.length), 3);
  const [, section = nothing] = readStrings(keys.subarray(4), 2);
  if (cipher?.toString() !== 'none') return undefined;
  const [, , secret, comment] = readStrings(section.subarray(8), 4);
  if (secret?.length !== 64 || comment === undefined) return undefined;
  const { publicKey } = ed25519FromSeed(secret.subarray(0, 32));
  if (!secret.subarray(32).equals(publicKey)) return undefined;
  const publicBlob = sshEd25519Blob(publicKey);
  return {
    privatePem,
    publicLine: `ssh-ed25519 ${publicBlob.toString('base64')} ${comment.toString('latin1')}`,
    fingerprint: sshFingerprint(publicBlob),
  };
}

/** An Ed25519 public key's wire form (RFC 8709 § 4), from its 32 bytes. */
export function sshEd25519Blob(publicKey: Uint8Array): Buffer {
  return Buffer.concat([sshString('ssh-ed25519'), sshString(publicKey)]);
}

/** Of a public key's wire form, as an SSH server presents it. */
export function sshFingerprint(publicBlob: Uint8Array): string {
  const digest = createHash('sha256').update(publicBlob).digest('base64');
  return `SHA256:${digest.replace(/=+$/, '')}`;
}

/** The wire form within a public line: what a server's key is compared with. */
export function sshPublicBlob(publicLine: string): Buffer {
  return Buffer.from(publicLine.split(' ')[1] ?? '', 'base64');
}

/**
 *   "openssh-key-v1\0"
 *   string ciphername "none"   string kdfname "none"   string kdfoptions ""
 *   uint32 number of keys 1    string public key
 *   string private section:
 *     uint32 check   uint32 check again
 *     string "ssh-ed25519"   string public key (32)   string seed ‖ public key (64)
 *     string comment         padding 1, 2, 3 … to a multiple of 8
 */
function privateFile(parts: {
  seed: Uint8Array;
  publicKey: Uint8Array;
  publicBlob: Uint8Array;
  comment: string;
  check: Uint8Array;
}): Buffer {
  const { seed, publicKey, publicBlob, comment, check } = parts;
  const section = Buffer.concat([
    check,
    check,
    sshString('ssh-ed25519'),
    sshString(publicKey),
    sshString(Buffer.concat([seed, publicKey])),
    sshString(comment),
  ]);
  const padding = Buffer.from(Array.from({ length: -section.length & 7 }, (_, at) => at + 1));
  return Buffer.concat([
    magic,
    sshString('none'),
    sshString('none'),
    sshString(''),
    uint32(1),
    sshString(publicBlob),
    sshString(Buffer.concat([section, padding])),
  ]);
}

/** RFC 4251 § 5: a length, then that many bytes. */
export function sshString(bytes: Uint8Array | string): Buffer {
  const content = Buffer.from(bytes as Uint8Array);
  return Buffer.concat([uint32(content.length), content]);
}

/** The inverse of {@link sshString}, `count` times, then what is left; fewer where bytes run out. */
function readStrings(bytes: Buffer, count: number): Buffer[] {
  if (count === 0) return [bytes];
  const end = bytes.length < 4 ? Infinity : 4 + bytes.readUInt32BE(0);
  if (end > bytes.length) return [];
  return [bytes.subarray(4, end), ...readStrings(bytes.subarray(end), count - 1)];
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function pem(bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,70}/g)!;
  const [head, tail] = ['BEGIN', 'END'].map((word) => `-----${word} OPENSSH PRIVATE KEY-----`);
  return [head, ...lines, tail, ''].join('\n');
}

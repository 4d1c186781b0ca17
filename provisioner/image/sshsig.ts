// Signatures on files as OpenSSH makes and checks them (`ssh-keygen -Y sign | verify`): anybody
// with Debian's openssh-client can verify an image without this project. This file owns the format
// (PROTOCOL.sshsig of OpenSSH); it signs with Ed25519 and SHA-512 only, and verifies no more.
// Pure: keys and bytes in, text out.
//
//   -----BEGIN SSH SIGNATURE-----
//   base64, 70 characters a line, of:
//     "SSHSIG"           6 bytes
//     uint32  version    1
//     string  public key (RFC 8709 § 4)
//     string  namespace  what the signature is for; another purpose is another namespace
//     string  reserved   ""
//     string  hash algorithm
//     string  signature: string "ssh-ed25519", string 64 bytes
//   -----END SSH SIGNATURE-----
//
//   Signed: "SSHSIG" ‖ string namespace ‖ string reserved ‖ string hash ‖ string H(message)

import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { sshEd25519Blob, sshFingerprint, sshString } from '../campaign/ssh-key.ts';
import { KitError } from '../errors.ts';

/** What a volunteer's signature on an image's sums is for. */
export const imageNamespace = 'commons-kit-image';

export interface SshSigner {
  signingKey: KeyObject;
  /** 32 bytes. */
  publicKey: Uint8Array;
}

/** Somebody whose signature counts. */
export interface SshAllowedSigner {
  /** As people know them: an address or a name without spaces. */
  name: string;
  /** Ed25519, 32 bytes. */
  publicKey: Uint8Array;
}

const magic = Buffer.from('SSHSIG');
const version = 1;
const hash = 'sha512';
const keyType = 'ssh-ed25519';
const head = '-----BEGIN SSH SIGNATURE-----';
const tail = '-----END SSH SIGNATURE-----';
/** Ours have 295 characters; a certificate's signature, the longest kind, stays below this. */
const maxArmoredChars = 16 * 1024;

/** The armored signature, ending in a line feed. The same message and key give the same text. */
export function signMessage(
  message: Uint8Array,
  { signingKey, publicKey }: SshSigner,
  namespace: string = imageNamespace,
): string {
  const signature = sign(null, signedBytes(message, namespace), signingKey);
  const blob = Buffer.concat([
    magic,
    uint32(version),
    sshString(sshEd25519Blob(publicKey)),
    sshString(namespace),
    sshString(''),
    sshString(hash),
    sshString(Buffer.concat([sshString(keyType), sshString(signature)])),
  ]);
  const lines = blob.toString('base64').match(/.{1,70}/g)!;
  return [head, ...lines, tail, ''].join('\n');
}

/**
 * Says who of `allowed` signed the message.
 * @throws KitError `signature-malformed` not of the format above; `signature-unsupported` another
 *   algorithm; `signature-wrong-purpose` made for another namespace; `signature-stranger` made by
 *   nobody who counts; `signature-wrong` made of other bytes
 */
export function verifyMessage(
  message: Uint8Array,
  armored: string,
  { allowed, namespace = imageNamespace }: {
    allowed: readonly SshAllowedSigner[];
    namespace?: string;
  },
): SshAllowedSigner {
  const parsed = parseArmored(armored);
  if (parsed.hash !== hash || parsed.keyType !== keyType) {
    throw refused('unsupported', `${keyType} and ${hash}`, `${parsed.keyType} and ${parsed.hash}`);
  }
  if (parsed.namespace !== namespace) throw refused('wrong-purpose', namespace, parsed.namespace);
  const signer = allowed.find(({ publicKey }) => parsed.keyBlob.equals(sshEd25519Blob(publicKey)));
  if (signer === undefined) {
    const names = allowed.map(({ name }) => name).join(', ') || 'somebody whose key is known';
    throw refused('stranger', names, sshFingerprint(parsed.keyBlob));
  }
  const key = publicKeyObject(signer.publicKey);
  if (verify(null, signedBytes(message, namespace), key, parsed.signature)) return signer;
  throw refused('wrong', 'the very bytes that were signed', 'others');
}

/** The line of an allowed signers file (ssh-keygen(1), "ALLOWED SIGNERS") for that person. */
export function allowedSignerLine(
  { name, publicKey }: SshAllowedSigner,
  namespace: string = imageNamespace,
): string {
  const key = sshEd25519Blob(publicKey).toString('base64');
  return `${name} namespaces="${namespace}" ${keyType} ${key}`;
}

/**
 * `NAME ssh-ed25519 BASE64`, as a campaign lists them; a comment may follow. Undefined when it is
 * not that.
 */
export function parseAllowedSigner(text: string): SshAllowedSigner | undefined {
  const [name, type, base64 = ''] = text.trim().split(/\s+/);
  const blob = Buffer.from(base64, 'base64');
  const publicKey = blob.subarray(-32);
  const whole = type === keyType && blob.equals(sshEd25519Blob(publicKey));
  return whole && blob.toString('base64') === base64 ? { name, publicKey } : undefined;
}

function signedBytes(message: Uint8Array, namespace: string): Buffer {
  const digest = createHash(hash).update(message).digest();
  return Buffer.concat([
    magic,
    sshString(namespace),
    sshString(''),
    sshString(hash),
    sshString(digest),
  ]);
}

interface Parsed {
  keyBlob: Buffer;
  keyType: string;
  namespace: string;
  hash: string;
  signature: Buffer;
}

function parseArmored(armored: string): Parsed {
  if (armored.length > maxArmoredChars) throw malformed(`${armored.length} characters`);
  const lines = armored.trim().split(/\r?\n/);
  if (lines.at(0) !== head || lines.at(-1) !== tail) throw malformed('no such first or last line');
  const base64 = lines.slice(1, -1).join('');
  const blob = Buffer.from(base64, 'base64');
  // Buffer.from is lenient; what it would not write itself is refused.
  if (blob.toString('base64') !== base64) throw malformed('something else than base64');
  return parseBlob(blob);
}

function parseBlob(blob: Buffer): Parsed {
  if (!blob.subarray(0, magic.length).equals(magic)) throw malformed('another kind of blob');
  const read = new Reader(blob.subarray(magic.length));
  const found = read.uint32();
  if (found !== version) throw refused('unsupported', `version ${version}`, `version ${found}`);
  const keyBlob = read.string();
  const namespace = read.string().toString('utf8');
  // To be ignored if not empty, says the protocol; but then it is signed too, which ours is not.
  if (read.string().length > 0) throw refused('unsupported', 'nothing reserved', 'something');
  const hashName = read.string().toString('latin1');
  const inner = new Reader(read.string());
  read.end();
  const type = inner.string().toString('latin1');
  const signature = inner.string();
  inner.end();
  return { keyBlob, keyType: type, namespace, hash: hashName, signature };
}

/** RFC 4251 § 5: numbers and strings one after the other. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  uint32(): number {
    if (this.#at + 4 > this.#bytes.length) throw malformed('an early end');
    this.#at += 4;
    return this.#bytes.readUInt32BE(this.#at - 4);
  }

  string(): Buffer {
    const length = this.uint32();
    if (this.#at + length > this.#bytes.length) throw malformed('an early end');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw malformed('bytes after the end');
  }
}

function publicKeyObject(publicKey: Uint8Array): KeyObject {
  const x = Buffer.from(publicKey).toString('base64url');
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function malformed(got: string): KitError {
  return refused('malformed', `${head} … ${tail}`, got);
}

const reasons = {
  malformed: {
    message: 'This is not an SSH signature',
    hint: 'Copy the whole .sig file again.',
  },
  unsupported: {
    message: 'This signature is of a kind that is not accepted here',
    hint: 'Sign with an Ed25519 key: ssh-keygen -Y sign.',
  },
  'wrong-purpose': {
    message: 'This signature was made for another purpose',
    hint: 'Ask for a signature of this very file.',
  },
  stranger: {
    message: 'This was signed by nobody whose signature counts',
    hint: 'Ask the signer for the public key over a way that you trust, and allow it.',
  },
  wrong: {
    message: 'This is not what was signed',
    hint: 'Copy the files again; if it stays so, do not use them.',
  },
};

function refused(reason: keyof typeof reasons, expected: string, got: string): KitError {
  const { message, hint } = reasons[reason];
  return new KitError({ code: `signature-${reason}`, message, expected, got, hint });
}

// kit.json: whose a backup is, what makes a new drive that home, and what its archives must be. This
// file reads the format; the node writes it (node/part/kit-json.ts). Pure. It holds
// secrets: none of its values gets into an error, a log or the record.
//
//   {"format":1,…,"sha256":"HEX of all bytes before the comma that precedes it"}\n

import { createHash } from 'node:crypto';

import * as v from 'valibot';

import { KitError } from '../errors.ts';

/** What this kit reads: a newer one is refused, and so is an older. */
export const knownFormat = 1;

const names = /^(\d+\.tar\.zst|manifest|yunohost\.tar(\.gz)?|info\.json)$/;
const name = v.pipe(v.string(), v.regex(names));
const bytes = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const word = v.pipe(v.string(), v.regex(/^[A-Za-z0-9._-]{1,253}$/));
const filePath = v.pipe(
  v.string(),
  v.regex(/^(\/[A-Za-z0-9._@+= -]+)+$/),
  v.check((path) => !path.split('/').includes('..')),
);
const text = v.pipe(v.string(), v.base64(), v.transform((code) => Buffer.from(code, 'base64')));
/** crypt(5): what stands in shadow(5) between two colons. */
const hash = v.pipe(v.string(), v.regex(/^\$[A-Za-z0-9./$,=_-]{8,512}$/));

const schema = v.strictObject({
  format: v.literal(knownFormat),
  kit: word,
  kind: word,
  domain: word,
  owner: word,
  made_at: bytes,
  data_bytes: bytes,
  parts: v.array(v.strictObject({ name, bytes, sha256 })),
  identity: v.array(
    v.strictObject({
      path: filePath,
      mode: v.pipe(v.string(), v.regex(/^[0-7]{3}$/)),
      owner: v.pipe(v.string(), v.regex(/^[a-z_][a-z0-9_-]*:[a-z_][a-z0-9_-]*$/)),
      content: text,
    }),
  ),
  logins: v.record(word, hash),
  once: v.array(word),
  sha256,
});

export interface KitJson {
  /** The kit's name. */
  kit: string;
  /** The image's name. */
  kind: string;
  domain: string;
  owner: string;
  /** Unix seconds, by the node's clock. */
  madeAtS: number;
  /** Of all that the archives give back. */
  dataBytes: number;
  parts: Part[];
  identity: IdentityFile[];
  /** User to crypt(5) hash; of those that have a passphrase. */
  logins: Record<string, string>;
  /** Stamps of what was done once for all (node/operation/effect.ts). */
  once: string[];
  /** Of kit.json itself: names this very state of the backup. */
  seal: string;
}

export interface Part {
  name: string;
  bytes: number;
  /** Hex. */
  sha256: string;
}

export interface IdentityFile {
  path: string;
  mode: string;
  /** `user:group` */
  owner: string;
  content: Buffer;
}

/**
 * @param file names it in errors
 * @throws KitError `backup-damaged`, `backup-newer`, `backup-older`
 */
export function readKitJson(bytesRead: Uint8Array, file: string): KitJson {
  const written = Buffer.from(bytesRead).toString('latin1');
  const sealed = /^(\{"format":(\d{1,9}),.*),"sha256":"([0-9a-f]{64})"\}\n$/s.exec(written);
  if (sealed === null) throw damaged(file, `${bytesRead.length} bytes that do not end in a sum`);
  const [, body, format, seal] = sealed;
  const sum = createHash('sha256').update(body, 'latin1').digest('hex');
  if (sum !== seal) throw damaged(file, 'bytes of another sum');
  if (Number(format) !== knownFormat) throw otherFormat(file, Number(format));
  // What is inside is secret: valibot's issues, which quote it, must not reach an error's text.
  const outcome = v.safeParse(v.pipe(v.string(), v.parseJson(), schema), written);
  if (!outcome.success) throw damaged(file, `other members than format ${knownFormat} has`);
  const { made_at: madeAtS, data_bytes: dataBytes, format: _, ...sums } = outcome.output;
  const { sha256: _seal, ...rest } = sums;
  const isWhole = rest.kind === 'yunohost' ? isYunohosts(rest.parts) : isChain(rest.parts);
  if (!isWhole) throw damaged(file, 'a list of archives with a hole in it');
  return { ...rest, madeAtS, dataBytes, seal };
}

/** 0, 1, 2 … without a hole, and the manifest of what the first two give back. */
function isChain(parts: Part[]): boolean {
  const names = new Set(parts.map((part) => part.name));
  const archives = parts.length - 1;
  const wanted = Array.from({ length: archives }, (_, at) => `${at}.tar.zst`);
  if (archives < 1 || names.size !== parts.length) return false;
  return [...wanted, 'manifest'].every((one) => names.has(one));
}

/** YunoHost's own archive, and its account of it. */
function isYunohosts(parts: Part[]): boolean {
  const names = parts.map((part) => part.name).sort();
  return names.length === 2 && names[0] === 'info.json' && names[1].startsWith('yunohost.tar');
}

function damaged(file: string, got: string): KitError {
  return new KitError({
    code: 'backup-damaged',
    message: `${file} is damaged`,
    expected: 'a line that ends in the sum of all before it',
    got,
    hint: 'Take the generation before it, or another copy of the backup.',
  });
}

function otherFormat(file: string, format: number): KitError {
  const newer = format > knownFormat;
  return new KitError({
    code: newer ? 'backup-newer' : 'backup-older',
    message: `${file} was made by ${newer ? 'a newer' : 'an older'} kit`,
    expected: `format ${knownFormat}`,
    got: `format ${format}`,
    hint: newer ? 'Update kit, then try again.' : 'Use the kit that made it.',
  });
}

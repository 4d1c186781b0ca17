// Changes a journey's public log at a thousand seeded positions, one at a time, and demands that the
// audit fails each time: checkpoint, tiles, entries, disclosed blobs. Nothing on disk is changed.
//
//   node test/tampered.ts [TRIAL_DIR] [SEED]

import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { createHash } from 'node:crypto';
import { audit } from '../ledger/audit/audit.ts';
import type { PublicFiles } from '../ledger/audit/source.ts';
import { parsePolicy } from '../ledger/log/policy.ts';
import { verifyHss } from '../ledger/verify/lms.ts';

const POSITIONS = 1000;

const [dir = 'trial', seed = String(Date.now())] = process.argv.slice(2);
console.log(`seed ${seed}`);
const files = readFiles(join(dir, 'ledger'));
const policy = parsePolicy(new Uint8Array(readFileSync(join(dir, 'policy'))));
const sound = await audit(filesOf(files), { policy, verify: remembering() });
if (!sound.ok) {
  console.log(`error[not-sound]: the log fails before any change: ${JSON.stringify(sound.findings)}`);
  process.exit(1);
}

const verify = remembering();
const random = generator(seed);
const names = [...files.keys()].sort();
const survived: string[] = [];
for (let i = 0; i < POSITIONS; i++) {
  // A file first, then a byte of it: small files matter as much as large ones.
  const name = names[Math.floor(random() * names.length)];
  const bytes = files.get(name)!.slice();
  const at = Math.floor(random() * bytes.length);
  const flip = 1 + Math.floor(random() * 255);
  bytes[at] ^= flip;
  const changed = new Map(files).set(name, bytes);
  const { ok } = await audit(filesOf(changed), { policy, verify });
  if (ok) survived.push(`${name} byte ${at} ^ ${flip}`);
}
for (const place of survived) console.log(`NOT NOTICED  ${place}`);
console.log(`${names.length} files, ${sound.size} entries, ${sound.blobs.disclosed} disclosed`);
console.log(`${POSITIONS - survived.length} passed, ${survived.length} failed`);
process.exit(survived.length === 0 ? 0 : 1);

function readFiles(root: string): Map<string, Uint8Array> {
  const found = readdirSync(root, { recursive: true, withFileTypes: true });
  return new Map(
    found
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => [relative(root, path), new Uint8Array(readFileSync(path))]),
  );
}

function filesOf(map: Map<string, Uint8Array>): PublicFiles {
  return {
    read: async (path) => map.get(path) ?? null,
    list: async () => [...map.keys()],
  };
}

/** The real check, done once for the same key, message and signature. */
function remembering(): typeof verifyHss {
  const known = new Map<string, boolean>();
  return (...args: Parameters<typeof verifyHss>) => {
    const hash = createHash('sha256');
    for (const bytes of args) hash.update(`${bytes.length} `).update(bytes);
    const key = hash.digest('hex');
    const answer = known.get(key) ?? verifyHss(...args);
    known.set(key, answer);
    return answer;
  };
}

/** Numbers in [0, 1) from SHA-256 in counter mode: the same for the same seed everywhere. */
function generator(text: string): () => number {
  let counter = 0;
  return () => {
    const digest = createHash('sha256').update(`${text} ${counter++}`).digest();
    return digest.readUInt32BE(0) / 2 ** 32;
  };
}

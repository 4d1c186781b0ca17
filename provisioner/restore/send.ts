// Carries a generation's files to the node: those that are not there yet, each known by its sum,
// and kit.json last. Cut off anywhere, what arrived whole is not sent again.

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { KitError } from '../errors.ts';
import { gatherFacts } from '../node/configure.ts';
import type { NodeConnection } from '../node/connection.ts';
import { FactError, type FactsOf } from '../node/fact.ts';
import { stamps } from '../node/operation/effect.ts';
import { backupStore } from '../node/part/backup.ts';
import type { Generation } from './generation.ts';
import type { Part } from './kit-json.ts';
import { comingFolder, isPutBack, type PutBack, type PutBackFacts } from './put-back.ts';

interface Arrival extends Pick<PutBackFacts, 'stamps' | 'accounts'> {
  /** Name to SHA-256, of what is there. */
  arrived: Record<string, string>;
  freeBytes: number;
}

/** Without any progress, the node is gone. */
const silenceMs = 120_000;
/** Beside the archives and what they give back: what configuring writes (node/ground.ts). */
const spareBytes = 128 * 1024 * 1024;

/** @throws KitError `node-inhabited`, `restore-no-room`, those of a connection */
export async function sendGeneration(
  connection: NodeConnection,
  { folder }: Generation,
  { desired, report }: { desired: PutBack; report: (text: string) => void },
): Promise<void> {
  const facts = await gatherFacts(connection, arrivalFacts(desired));
  if (isPutBack(desired, facts)) return;
  const sealed = await readFile(join(folder, 'kit.json'));
  const sum = createHash('sha256').update(sealed).digest('hex');
  const files = [
    ...desired.backup.parts,
    { name: 'kit.json', bytes: sealed.length, sha256: sum },
  ];
  const missing = files.filter(({ name, sha256 }) => facts.arrived[name] !== sha256);
  refuseRoom(desired, missing, facts.freeBytes);
  const coming = comingFolder(desired.name);
  const makeFolder = `umask 077; mkdir -p ${coming}`;
  if (missing.length > 0) await connection.run(makeFolder, { timeoutMs: silenceMs });
  for (const { name, bytes } of missing) {
    report(`${desired.kit}: sending ${name}, ${(bytes / 1e6).toFixed(1)} MB`);
    const source = createReadStream(join(folder, name));
    await connection.send(`${coming}/${name}`, source, { timeoutMs: silenceMs });
  }
}

/** What stands in its own place already was taken in, and needs no sending. */
function arrivalFacts({ name, backup, restoration }: PutBack): FactsOf<Arrival> {
  const names = [...backup.parts.map((part) => part.name), 'kit.json'].join(' ');
  return {
    stamps,
    accounts: restoration.accounts,
    arrived: {
      script: `for folder in ${comingFolder(name)} ${backupStore}/${name}; do
  [ ! -d $folder ] || (cd $folder && sha256sum -- ${names})
done
true`,
      parse(text) {
        const lines = [...text.matchAll(/^([0-9a-f]{64}) [ *](\S+)$/gm)];
        return Object.fromEntries(lines.map(([, sum, file]) => [file, sum]));
      },
    },
    freeBytes: {
      script: `mkdir -p ${backupStore} && stat -f -c '%a %S' ${backupStore}`,
      parse(text) {
        const found = /^(\d+) (\d+)$/.exec(text);
        if (found === null) throw new FactError('the room on its file system', text);
        return Number(found[1]) * Number(found[2]);
      },
    },
  };
}

/** The data twice: as it is unpacked, and once more as the next backup is proven. */
function refuseRoom({ kit, backup }: PutBack, missing: Part[], freeBytes: number): void {
  const archivesBytes = missing.reduce((sum, { bytes }) => sum + bytes, 0);
  const neededBytes = archivesBytes + 2 * backup.dataBytes + spareBytes;
  if (missing.length === 0 || freeBytes >= neededBytes) return;
  throw new KitError({
    code: 'restore-no-room',
    message: `${kit}’s new drive is too small for what is to be put back`,
    expected: `${Math.ceil(neededBytes / 1e6)} MB free`,
    got: `${Math.floor(freeBytes / 1e6)} MB`,
    hint: 'Write a larger drive.',
  });
}

// The packages of a lock as an apt repository of this process's own, on a loopback port for as long
// as a tree is being made of them. mmdebstrap sees nothing else: what is built is what was locked,
// with and without a network, and whatever the mirrors offer meanwhile.
//
//   /dists/RELEASE/Release                       names the index by its SHA-256
//   /dists/RELEASE/main/binary-ARCH/Packages     the stanzas
//   /pool/ARCHIVE                                the archives
//
// Unsigned: apt is told to trust it. The archives' bytes were proven against the lock, and apt
// holds them against the index once more.

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Archives } from './package-cache.ts';
import { run } from './run.ts';
import { field, splitStanzas } from './stanza.ts';

export interface Repository {
  uri: string;
  close(): Promise<void>;
}

/** Serves `stanzas` and their archives until it is closed. */
export async function serveRepository(
  { release, arch }: { release: string; arch: string },
  stanzas: string,
  archives: Archives,
): Promise<Repository> {
  const index = `main/binary-${arch}/Packages`;
  const texts = new Map([
    [`/dists/${release}/Release`, releaseText({ release, arch }, index, stanzas)],
    [`/dists/${release}/${index}`, stanzas],
  ]);
  const files = new Map([...archives.values()].map((path) => [`/pool/${basename(path)}`, path]));
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? '');
    const text = texts.get(path);
    const file = files.get(path);
    if (text !== undefined) response.end(text);
    else if (file !== undefined) sendFile(file, response);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve);
  });
  return {
    uri: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** A reader that goes away is its own affair: mmdebstrap's failure is what is told. */
function sendFile(path: string, response: ServerResponse): void {
  pipeline(createReadStream(path), response).catch(() => response.destroy());
}

function releaseText(
  { release, arch }: { release: string; arch: string },
  index: string,
  stanzas: string,
): string {
  const sha256 = createHash('sha256').update(stanzas).digest('hex');
  return [
    ...[`Suite: ${release}`, `Codename: ${release}`, `Architectures: ${arch}`, 'Components: main'],
    'SHA256:',
    ` ${sha256} ${Buffer.byteLength(stanzas)} ${index}`,
    '',
  ].join('\n');
}

/** Archives at once: each `dpkg-deb` takes some milliseconds, a hundred words fit any argv. */
const BATCH = 100;

/** The archives' own control data, with what an index adds: where each lies, its size, its digest. */
export async function readStanzas(archives: Archives): Promise<string> {
  const items = [...archives].sort(([, a], [, b]) => (a < b ? -1 : 1));
  const parts: string[] = [];
  for (let at = 0; at < items.length; at += BATCH) {
    const batch = items.slice(at, at + BATCH);
    const paths = batch.map(([, path]) => path);
    const loop = 'for file do dpkg-deb --field "$file" && echo || exit 1; done';
    const printed = await run(['sh', '-c', loop, 'sh', ...paths], { name: 'dpkg-deb' });
    const controls = splitStanzas(printed);
    if (controls.length !== batch.length) throw new Error('dpkg-deb told of too few archives');
    for (const [index, [sha256, path]] of batch.entries()) {
      const { size } = await stat(path);
      const added = `Filename: pool/${basename(path)}\nSize: ${size}\nSHA256: ${sha256}\n`;
      parts.push(`${indexed(controls[index])}\n${added}`);
    }
  }
  return parts.join('\n');
}

/**
 * A repository may call a package essential so that nobody removes it (YunoHost's does); mmdebstrap
 * would unpack it before the machine that it is set up on stands. Debian's own are required too.
 */
function indexed(control: string): string {
  const text = control.trimEnd();
  if (field(text, 'Priority') === 'required') return text;
  return text.replace(/^Essential: yes\n/m, '');
}

// A small Debian repository of packages made on the spot, signed by a key of its own and served
// over HTTP, on loopback unless told otherwise: what YunoHost's is to an image, for machines that cannot reach it.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';

export interface StandInPackage {
  name: string;
  version: string;
  /** Default: all. */
  arch?: string;
  /** Further control fields, such as Depends. */
  fields?: Record<string, string>;
  /** Path without a leading slash to text. */
  files?: Record<string, string>;
  /** A shell script. */
  postinst?: string;
}

export interface RepositoryPlan {
  suite: string;
  component: string;
  /** Whose indexes are made; packages for `all` stand in each. */
  arches: readonly string[];
  packages: readonly StandInPackage[];
  /** Unix seconds, for the Release file. */
  dateS?: number;
}

export interface DebRepository {
  /** `http://HOST:PORT/debian`. */
  uri: string;
  /** The public key that signs it, ASCII armoured. */
  keyFile: string;
  /** What is served, by path below `uri`; a test may change it. */
  served: Map<string, Buffer>;
  close(): Promise<void>;
}

/** Makes the repository in `dir`, which must be empty, and serves it until it is closed. */
export async function serveDebRepository(
  dir: string,
  plan: RepositoryPlan,
  host = '127.0.0.1',
): Promise<DebRepository> {
  const keyFile = join(dir, 'key.asc');
  const gpgHome = makeKey(dir, keyFile);
  const served = new Map<string, Buffer>();
  const stanzas = plan.packages.map((item) => addPackage(dir, item, served));
  for (const arch of plan.arches) {
    const of = (_: string, at: number) => ['all', arch].includes(plan.packages[at].arch ?? 'all');
    served.set(indexPath(plan, arch), Buffer.from(stanzas.filter(of).join('\n')));
  }
  const release = releaseText(plan, served);
  served.set(`dists/${plan.suite}/InRelease`, clearsign(gpgHome, release));
  rmSync(gpgHome, { recursive: true, force: true });
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? '').replace(/^\/debian\//, '');
    const bytes = served.get(path);
    if (bytes === undefined) response.writeHead(404).end();
    else response.end(bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  return {
    uri: `http://${host}:${(server.address() as AddressInfo).port}/debian`,
    keyFile,
    served,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** A throw-away key; returns gpg's folder, in which it alone is. */
function makeKey(dir: string, keyFile: string): string {
  const home = join(dir, 'gpg');
  mkdirSync(home, { mode: 0o700 });
  const name = 'stand-in <stand-in@example.org>';
  const quick = ['--passphrase', '', '--quick-generate-key', name, 'ed25519', 'sign', 'never'];
  gpg(home, quick);
  writeFileSync(keyFile, gpg(home, ['--armor', '--export']));
  return home;
}

function clearsign(home: string, text: string): Buffer {
  const signed = gpg(home, ['--clearsign'], text);
  // The agent was started for this folder alone.
  execFileSync('gpgconf', ['--homedir', home, '--kill', 'all'], { stdio: 'ignore' });
  return signed;
}

function gpg(home: string, args: string[], input = ''): Buffer {
  const words = ['--homedir', home, '--batch', '--quiet', '--pinentry-mode', 'loopback', ...args];
  return execFileSync('gpg', words, { input, stdio: ['pipe', 'pipe', 'pipe'] });
}

/** Builds the archive; returns its stanza in the index. */
function addPackage(dir: string, item: StandInPackage, served: Map<string, Buffer>): string {
  const { name, version, arch = 'all' } = item;
  const tree = join(dir, 'trees', name);
  const control = controlText(item);
  put(join(tree, 'DEBIAN/control'), control);
  for (const [path, text] of Object.entries(item.files ?? {})) put(join(tree, path), text);
  if (item.postinst !== undefined) {
    put(join(tree, 'DEBIAN/postinst'), item.postinst);
    chmodSync(join(tree, 'DEBIAN/postinst'), 0o755);
  }
  const file = `pool/${name}_${version}_${arch}.deb`;
  const deb = join(dir, 'package.deb');
  const env = { ...process.env, SOURCE_DATE_EPOCH: '1700000000' };
  const build = ['--root-owner-group', '--build', tree, deb];
  execFileSync('dpkg-deb', build, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  const bytes = readFileSync(deb);
  served.set(file, bytes);
  const { size } = statSync(deb);
  return `${control}Filename: ${file}\nSize: ${size}\nSHA256: ${sha256(bytes)}\n`;
}

function put(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  writeFileSync(path, text);
}

function controlText({ name, version, arch = 'all', fields = {} }: StandInPackage): string {
  const all: Record<string, string> = {
    ...{ Package: name, Version: version, Architecture: arch },
    Maintainer: 'stand-in <stand-in@example.org>',
    ...fields,
    Description: `stand-in for ${name}`,
  };
  return Object.entries(all).map(([key, value]) => `${key}: ${value}\n`).join('');
}

function indexPath({ suite, component }: RepositoryPlan, arch: string): string {
  return `dists/${suite}/${component}/binary-${arch}/Packages`;
}

function releaseText(plan: RepositoryPlan, served: Map<string, Buffer>): string {
  const { suite, component, arches, dateS = 1_760_000_000 } = plan;
  const sums = arches.map((arch) => {
    const bytes = served.get(indexPath(plan, arch))!;
    const path = indexPath(plan, arch).replace(`dists/${suite}/`, '');
    return ` ${sha256(bytes)} ${bytes.length} ${path}`;
  });
  return [
    ...[`Suite: ${suite}`, `Codename: ${suite}`, `Components: ${component}`],
    `Architectures: ${arches.join(' ')}`,
    `Date: ${new Date(dateS * 1000).toUTCString().replace('GMT', 'UTC')}`,
    'SHA256:',
    ...sums,
    '',
  ].join('\n');
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

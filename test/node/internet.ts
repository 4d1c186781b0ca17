// The internet as a node sees it through its router: names, and Debian's mirror with one small
// package for an ACME client, which the image lacks. Each can be told to be away, or to answer
// wrongly. Needs dnsmasq.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Resolver } from 'node:dns/promises';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { serveDebRepository } from '../helpers/deb-repository.ts';

export interface Internet {
  /** What the node needs to use it, as shell for the node's own keyboard. */
  script: string;
  /** What the router says the mirror's address is; `none`: that there is no such name. */
  names(answer: string): Promise<void>;
  /** No answer for any name. */
  namesGo(): Promise<void>;
  mirror(state: MirrorState): void;
  end(): Promise<void>;
}

/** `portal`: a login page whatever is asked for. */
export type MirrorState = 'well' | 'portal' | 'without this Debian' | 'spoilt' | 'of tomorrow';

const name = 'mirror.test';
const suite = 'trixie';
const release = `dists/${suite}/InRelease`;

/** @param address of the router, where the mirror stands too */
export async function openInternet(dir: string, address: string): Promise<Internet> {
  const plan = {
    ...{ suite, component: 'main', arches: ['amd64'] },
    packages: [{ name: 'uacme', version: '1', files: { 'usr/bin/uacme': '#!/bin/sh\nexit 0\n' } }],
  };
  const folder = (name: string): string => {
    mkdirSync(join(dir, name));
    return join(dir, name);
  };
  const served = await serveDebRepository(folder('mirror'), plan, address);
  const dateS = Math.floor(Date.now() / 1000) + 86_400;
  const early = await serveDebRepository(folder('early'), { ...plan, dateS });
  await early.close();
  const well = served.served.get(release)!;
  const { port } = new URL(served.uri);
  const keys = [served, early].map(({ keyFile }) => readFileSync(keyFile, 'utf8')).join('');
  let router: ChildProcess | undefined;
  const namesGo = async (): Promise<void> => {
    if (router === undefined) return;
    const gone = once(router, 'exit');
    router.kill('SIGTERM');
    await gone;
    router = undefined;
  };
  return {
    script: `mkdir -p /etc/systemd/resolved.conf.d
printf '[Resolve]\\nDNS=${address}\\nDNSSEC=no\\n' >/etc/systemd/resolved.conf.d/test.conf
cat >/etc/apt/keyrings/test.asc <<'KEYS'
${keys}KEYS
cat >/etc/apt/sources.list.d/debian.sources <<'SOURCES'
Types: deb
URIs: http://${name}:${port}/debian
Suites: ${suite}
Components: main
Signed-By: /etc/apt/keyrings/test.asc
SOURCES
systemctl restart systemd-resolved.service`,
    async names(answer) {
      await namesGo();
      const known = answer === 'none' ? `--address=/${name}/` : `--address=/${name}/${answer}`;
      router = spawn('dnsmasq', [
        ...['--keep-in-foreground', '--conf-file=/dev/null', '--no-resolv', '--no-hosts'],
        ...['--bind-interfaces', `--listen-address=${address}`, '--user=root', '--pid-file=', known],
      ], { stdio: ['ignore', 'ignore', 'inherit'] });
      await listens(address, router);
    },
    namesGo,
    mirror(state) {
      const page = Buffer.from('<html><title>Welcome to our guests’ network</title></html>\n');
      const states: Record<MirrorState, Buffer | undefined> = {
        ...{ well, 'portal': page, 'without this Debian': undefined },
        'spoilt': Buffer.from(well.toString('latin1').replace('Components: main', 'Components: Main'), 'latin1'),
        'of tomorrow': early.served.get(release),
      };
      const bytes = states[state];
      if (bytes === undefined) served.served.delete(release);
      else served.served.set(release, bytes);
    },
    async end() {
      await namesGo();
      await served.close();
    },
  };
}

/** It says nowhere that it listens; any answer will do, a refusal too. */
async function listens(address: string, router: ChildProcess): Promise<void> {
  for (;;) {
    if (router.exitCode !== null) throw new Error(`dnsmasq ended: ${router.exitCode}`);
    const resolver = new Resolver({ timeout: 500, tries: 1 });
    resolver.setServers([address]);
    const code = await resolver.resolve4(name).then(() => 'answered', ({ code }) => String(code));
    if (!['ECONNREFUSED', 'ETIMEOUT'].includes(code)) return;
    await sleep(50);
  }
}

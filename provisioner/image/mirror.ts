// Where packages come from: the mirror that this machine's own apt uses, else the image's public
// default; and the mirror's state, which is an input of the build. Downloads go through apt's
// own helper, so that its proxies and credentials hold. The image itself never learns of it.

import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { KitError } from '../errors.ts';
import type { ImageSettings } from './folder.ts';
import { run } from './run.ts';

export interface AptSource {
  uris: string[];
  suites: string[];
  components: string[];
}

export interface Suite {
  name: string;
  uri: string;
}

export interface SuiteState {
  suite: string;
  /** Of the suite's signed InRelease file, which vouches for every package in it. */
  inReleaseSha256: string;
  dateS: number;
}

/** Settings of the machine's apt that say how a mirror is reached and how old it may be. */
const passedOn =
  /^(Acquire::(https?::Proxy(::.+)?|Check-Valid-Until|Check-Date|Retries)) "([^"]*)";$/;

/** The suites of a release, each at the mirror that this machine uses. */
export async function chooseSuites(settings: ImageSettings): Promise<Suite[]> {
  const machine = await machineMirrors();
  const mirror = machine.main ?? settings.mirror;
  const security = machine.security ?? settings.security_mirror;
  const { release } = settings;
  return [
    { name: release, uri: mirror },
    { name: `${release}-updates`, uri: mirror },
    { name: `${release}-security`, uri: security },
  ];
}

async function machineMirrors(): Promise<{ main?: string; security?: string }> {
  const osRelease = await readFile('/etc/os-release', 'utf8');
  const codename = /^VERSION_CODENAME="?([a-z]+)"?$/m.exec(osRelease)?.[1];
  if (!/^ID="?debian"?$/m.test(osRelease) || codename === undefined) return {};
  const sources = await machineSources();
  const uriOf = (suite: string) =>
    sources
      .filter((source) => source.suites.includes(suite) && source.components.includes('main'))
      .flatMap((source) => source.uris)
      .find((uri) => /^https?:\/\//.test(uri))
      ?.replace(/\/$/, '');
  return { main: uriOf(codename), security: uriOf(`${codename}-security`) };
}

async function machineSources(): Promise<AptSource[]> {
  const folder = '/etc/apt/sources.list.d';
  const names = await readdir(folder).catch(() => []);
  const files = ['/etc/apt/sources.list', ...names.sort().map((name) => join(folder, name))];
  const texts = await Promise.all(
    files.map(async (file) => ({ file, text: await readFile(file, 'utf8').catch(() => '') })),
  );
  return texts.flatMap(({ file, text }) =>
    file.endsWith('.sources') ? parseDeb822(text) : file.endsWith('.list') ? parseList(text) : [],
  );
}

/** One-line format of sources.list(5). */
export function parseList(text: string): AptSource[] {
  const line = /^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+([^#\n]*)/gm;
  return [...text.matchAll(line)].map(([, uri, suite, components]) => ({
    uris: [uri],
    suites: [suite],
    components: components.trim().split(/\s+/),
  }));
}

/** Deb822 format of sources.list(5). */
export function parseDeb822(text: string): AptSource[] {
  const stanzas = text.replace(/^#.*\n?/gm, '').split(/\n\s*\n/);
  return stanzas.map(readFields).flatMap((fields) => {
    const words = (name: string) => (fields.get(name) ?? '').split(/\s+/).filter((w) => w !== '');
    if (!words('types').includes('deb') || /^(no|false)$/i.test(fields.get('enabled') ?? '')) {
      return [];
    }
    return [{ uris: words('uris'), suites: words('suites'), components: words('components') }];
  });
}

function readFields(stanza: string): Map<string, string> {
  const unfolded = stanza.replace(/\n[ \t]+/g, ' ');
  return new Map(
    [...unfolded.matchAll(/^([A-Za-z-]+):[ \t]*(.*)$/gm)].map(
      ([, name, value]) => [name.toLowerCase(), value.trim()] as const,
    ),
  );
}

/** apt options for reaching the mirror as this machine does. */
export async function aptOptions(): Promise<string[]> {
  const dump = await run(['apt-config', 'dump', 'Acquire']);
  return dump.split('\n').filter((line) => passedOn.test(line));
}

/** @throws KitError `mirror-unreachable` */
export async function readSuiteState(suite: Suite, scratchDir: string): Promise<SuiteState> {
  const file = join(scratchDir, `${suite.name}.InRelease`);
  const url = `${suite.uri}/dists/${suite.name}/InRelease`;
  try {
    await run(['/usr/lib/apt/apt-helper', 'download-file', url, file]);
  } catch (error) {
    throw new KitError({
      code: 'mirror-unreachable',
      message: 'the Debian mirror does not answer',
      expected: url,
      got: error instanceof KitError ? error.got : String(error),
      hint: 'Check the network, and that apt-get update works on this machine.',
      cause: error,
    });
  }
  const text = await readFile(file);
  const date = /^Date: (.+)$/m.exec(text.toString('utf8'))?.[1] ?? '';
  const dateMs = Date.parse(date);
  if (Number.isNaN(dateMs)) {
    throw new KitError({
      code: 'mirror-malformed',
      message: `${url} is not a release file of Debian`,
      expected: 'a Date field',
      got: text.subarray(0, 80).toString('utf8'),
      hint: 'A network that asks for a login answers so: open a web page, then try again.',
    });
  }
  const inReleaseSha256 = createHash('sha256').update(text).digest('hex');
  return { suite: suite.name, inReleaseSha256, dateS: Math.floor(dateMs / 1000) };
}

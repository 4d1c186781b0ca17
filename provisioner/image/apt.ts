// A private apt: the machine's own program, proxies and credentials, but its own sources, indexes
// and architecture, and no packages installed. It is asked what a list of packages needs and where
// the archives lie; it installs nothing. Trust: the keys that each source names, nothing else.

import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { KitError } from '../errors.ts';
import type { AptSource } from './apt-sources.ts';
import { run } from './run.ts';
import { parseStanzas, type Package } from './stanza.ts';

export interface LocatedPackage extends Package {
  uri: string;
}

export interface Apt {
  /** When the newest of its sources was last changed. Unix seconds. */
  epochS: number;
  /** What must be installed for these names or apt patterns, on a machine that has nothing. */
  closure(wanted: readonly string[]): Promise<LocatedPackage[]>;
  /** These packages alone: `name`, or `name=version`. Those that no source has are left out. */
  locate(wanted: readonly string[]): Promise<LocatedPackage[]>;
}

export interface AptJob {
  /** A folder of this apt's own, kept between builds: indexes are fetched only when changed. */
  dir: string;
  arch: string;
  sources: readonly AptSource[];
  signal?: AbortSignal;
}

/** @throws KitError `mirror-unreachable`, `mirror-malformed`, `keyring-too-old` */
export async function openApt(job: AptJob): Promise<Apt> {
  const env = { APT_CONFIG: await writeConfig(job) };
  const ask = (argv: string[]) => run(argv, { env, signal: job.signal });
  await update(job, ask);
  const locate = async (names: readonly string[]): Promise<LocatedPackage[]> => {
    if (names.length === 0) return [];
    const uris = await ask(['apt-get', 'download', '--print-uris', '-qq', ...names]);
    const listed = parseUris(uris);
    const stanzas = await ask(['apt-cache', 'show', ...names]);
    return joinUris(listed, stanzas);
  };
  return {
    epochS: await newestDateS(join(job.dir, 'lists')),
    async closure(wanted) {
      const words = ['apt-get', 'install', '--simulate', '-qq', ...wanted];
      const names = parseSimulation(await ask(words));
      return locate(names);
    },
    async locate(wanted) {
      return locate(await known(wanted, ask));
    },
  };
}

async function writeConfig({ dir, arch, sources }: AptJob): Promise<string> {
  for (const folder of ['lists/partial', 'archives/partial']) {
    await mkdir(join(dir, folder), { recursive: true });
  }
  const at = (name: string) => join(dir, name);
  await writeFile(at('status'), '');
  const lines = sources.flatMap(({ uri, suites, components, keyFile }) =>
    suites.map((suite) => `deb [signed-by=${keyFile}] ${uri} ${suite} ${components.join(' ')}`),
  );
  await writeFile(at('sources.list'), `${lines.join('\n')}\n`);
  const settings: Record<string, string> = {
    'Dir::State': dir,
    'Dir::State::status': at('status'),
    'Dir::State::lists': at('lists'),
    'Dir::Cache': dir,
    'Dir::Etc::sourcelist': at('sources.list'),
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::Etc::preferences': '/dev/null',
    'Dir::Etc::preferencesparts': '/dev/null',
    'APT::Architecture': arch,
    'APT::Architectures': arch,
    'APT::Install-Recommends': 'false',
    'APT::Install-Suggests': 'false',
    'Acquire::Languages': 'none',
    // The folder is ours alone: apt's own user could not enter it.
    'APT::Sandbox::User': 'root',
    // Old indexes in place of those that could not be fetched would be a silent wrong answer.
    'APT::Update::Error-Mode': 'any',
  };
  const text = Object.entries(settings).map(([key, value]) => `${key} "${value}";\n`);
  // The machine may list further architectures; a list is only emptied by name.
  await writeFile(at('apt.conf'), ['#clear APT::Architectures;\n', ...text].join(''));
  return at('apt.conf');
}

async function update(
  { sources }: AptJob,
  ask: (argv: string[]) => Promise<string>,
): Promise<void> {
  try {
    await ask(['apt-get', 'update', '-qq']);
  } catch (error) {
    const got = error instanceof KitError ? (error.got ?? '') : String(error);
    if (!(error instanceof KitError) || error.code !== 'tool-failed') throw error;
    throw new KitError({ ...updateFault(got), got, cause: error, expected: addresses(sources) });
  }
}

function addresses(sources: readonly AptSource[]): string {
  return sources.map(({ uri, suites }) => `${uri} ${suites.join(' ')}`).join(', ');
}

function updateFault(said: string): { code: string; message: string; hint: string } {
  if (/NO_PUBKEY|Missing key/.test(said)) {
    return {
      code: 'keyring-too-old',
      message: 'this machine does not know the keys that sign a source of packages',
      hint: 'Run: apt-get install --only-upgrade debian-archive-keyring',
    };
  }
  if (/isn't signed properly|not signed|Clearsigned file|NOSPLIT|BADSIG|EXPKEYSIG/.test(said)) {
    return {
      code: 'mirror-malformed',
      message: 'a source of packages is not signed as it should be',
      hint: 'A network that asks for a login answers so: open a web page, then try again.',
    };
  }
  return {
    code: 'mirror-unreachable',
    message: 'a source of packages does not answer',
    hint: 'Check the network, and that apt-get update works on this machine.',
  };
}

async function newestDateS(lists: string): Promise<number> {
  const names = (await readdir(lists)).filter((name) => /_(In)?Release$/.test(name));
  const texts = await Promise.all(names.map((name) => readFile(join(lists, name), 'utf8')));
  const dates = texts.map((text) => Date.parse(/^Date: (.+)$/m.exec(text)?.[1] ?? ''));
  return Math.floor(Math.max(...dates.filter((ms) => !Number.isNaN(ms))) / 1000);
}

/** `Inst name (version origin [arch])`, as `name=version`. Pure. */
export function parseSimulation(text: string): string[] {
  const line = /^Inst ([^ :]+)\S* (?:\[[^\]]*\] )?\((\S+) /gm;
  return [...text.matchAll(line)].map(([, name, version]) => `${name}=${version}`).sort();
}

/** `'URI' FILE SIZE SHA256:HASH`, by hash. Pure. */
export function parseUris(text: string): Map<string, string> {
  const line = /^'([^']+)' \S+ \d+ SHA256:([0-9a-f]{64})$/gm;
  return new Map([...text.matchAll(line)].map(([, uri, sha256]) => [sha256, uri]));
}

/** Each address with what its stanza says of it. */
function joinUris(uris: Map<string, string>, stanzas: string): LocatedPackage[] {
  const located = parseStanzas(stanzas).flatMap((item) => {
    const uri = uris.get(item.sha256);
    const { name, version, arch, sha256 } = item;
    return uri === undefined ? [] : [{ name, version, arch, sha256, uri }];
  });
  if (located.length === uris.size) return located;
  throw new Error(`apt tells of ${uris.size} archives, but describes ${located.length}`);
}

/** Those of `name` and `name=version` that some source has: apt refuses all for one stranger. */
async function known(
  wanted: readonly string[],
  ask: (argv: string[]) => Promise<string>,
): Promise<string[]> {
  const names = [...new Set(wanted.map((item) => item.replace(/=.*/, '')))];
  const offered = await ask(['apt-cache', 'madison', ...names]);
  // name | version | source
  const versions = offered.split('\n').map((line) => line.split('|').map((part) => part.trim()));
  const have = new Set(versions.flatMap(([name, version]) => [name, `${name}=${version}`]));
  return wanted.filter((item) => have.has(item));
}

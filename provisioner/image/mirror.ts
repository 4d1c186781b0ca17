// Which Debian mirror packages come from: the one that this machine's own apt uses, else the image's
// public default. The image itself never learns of it.

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

interface MachineSource {
  uris: string[];
  suites: string[];
  components: string[];
}

/** The mirrors of Debian's archive and of its security updates. */
export async function chooseMirrors(defaults: {
  mirror: string;
  security_mirror: string;
}): Promise<{ main: string; security: string }> {
  const machine = await machineMirrors();
  return {
    main: machine.main ?? defaults.mirror,
    security: machine.security ?? defaults.security_mirror,
  };
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

async function machineSources(): Promise<MachineSource[]> {
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
export function parseList(text: string): MachineSource[] {
  const line = /^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+([^#\n]*)/gm;
  return [...text.matchAll(line)].map(([, uri, suite, components]) => ({
    uris: [uri],
    suites: [suite],
    components: components.trim().split(/\s+/),
  }));
}

/** Deb822 format of sources.list(5). */
export function parseDeb822(text: string): MachineSource[] {
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

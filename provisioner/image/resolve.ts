// From an image's folder to its lock: which packages, in which versions, with which bytes the image
// and the tools that lay it out are made of, as the mirrors offer them now.

import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { KitError } from '../errors.ts';
import { type Apt, type LocatedPackage, openApt } from './apt.ts';
import { type AptSource, debianSources } from './apt-sources.ts';
import type { Arch, ImageFolder } from './folder.ts';
import { bootPackages } from './loader.ts';
import type { Lock, LockedPackage, Role } from './lock.ts';
import { chooseMirrors } from './mirror.ts';
import { toolPackages, toolsRelease } from './tools.ts';

export interface Resolution {
  lock: Lock;
  /** Where each archive of the lock lies, by its SHA-256. */
  uris: Map<string, string>;
}

export interface ResolveDeps {
  /** Indexes are kept here between builds. */
  aptDir: string;
  /** The machine whose tools lay out the drive. */
  benchArch: Arch;
  signal?: AbortSignal;
}

/** All that mmdebstrap's "minbase" installs of itself: mmdebstrap(1), "VARIANTS". */
const minbase = ['?essential', '?priority(required)', 'apt'];

/** Asks the mirrors. @throws KitError those of {@link openApt}, `repository-key-missing` */
export async function resolveImage(folder: ImageFolder, deps: ResolveDeps): Promise<Resolution> {
  const sources = await openSources(folder, deps);
  const root = await sources.image.closure([...minbase, ...folder.packages]);
  const tool = await sources.tools.closure(toolPackages);
  const boot = await sources.boot.locate(bootPackages[folder.arch]);
  const as = (role: Role, items: LocatedPackage[]): LockedPackage[] =>
    items.map(({ name, version, arch, sha256, uri }) => {
      // An address within a repository's is that repository's.
      const from = folder.settings.repository.find((item) => uri.startsWith(`${item.uri}/`))?.name;
      return { role, name, version, arch, sha256, ...(from ? { repository: from } : {}) };
    });
  return {
    lock: {
      epochS: Math.max(...Object.values(sources).map(({ epochS }) => epochS)),
      packages: [...as('root', root), ...as('boot', boot), ...as('tool', tool)],
    },
    uris: new Map([...root, ...boot, ...tool].map(({ sha256, uri }) => [sha256, uri])),
  };
}

/** Where these packages of a lock lie, by SHA-256; those that no mirror has any more are left out. */
export async function locateLocked(
  folder: ImageFolder,
  packages: readonly LockedPackage[],
  deps: ResolveDeps,
): Promise<Map<string, string>> {
  const sources = await openSources(folder, deps);
  const aptOf = { root: sources.image, boot: sources.boot, tool: sources.tools };
  const uris = new Map<string, string>();
  for (const [role, apt] of Object.entries(aptOf)) {
    const wanted = packages.filter((item) => item.role === role);
    const found = await apt.locate(wanted.map(({ name, version }) => `${name}=${version}`));
    for (const { sha256, uri } of found) uris.set(sha256, uri);
  }
  return uris;
}

interface Sources {
  image: Apt;
  boot: Apt;
  tools: Apt;
}

/** One apt for each set of sources and architecture; the three are often one and the same. */
async function openSources(folder: ImageFolder, deps: ResolveDeps): Promise<Sources> {
  const { settings, arch } = folder;
  const debian = (release: string, components: string[]) =>
    chooseMirrors(settings).then((mirrors) => debianSources({ release, components }, mirrors));
  const image = [
    ...(await debian(settings.release, settings.components)),
    ...(await repositorySources(folder)),
  ];
  const own = await debian(toolsRelease, ['main']);
  const opened = new Map<string, Promise<Apt>>();
  const open = (sources: AptSource[], forArch: Arch): Promise<Apt> => {
    const name = aptName(sources, forArch);
    const dir = join(deps.aptDir, name);
    const apt = opened.get(name) ?? openApt({ dir, arch: forArch, sources, signal: deps.signal });
    opened.set(name, apt);
    return apt;
  };
  return {
    image: await open(image, arch),
    boot: await open(own, arch),
    tools: await open(own, deps.benchArch),
  };
}

/** Such as `debian-trixie-main-yunohost-bookworm-stable-amd64`: the indexes that are kept there. */
function aptName(sources: AptSource[], arch: Arch): string {
  const words = sources
    .filter(({ name }) => name !== 'debian-security')
    .flatMap(({ name, suites, components }) => [name, suites[0], ...components]);
  return [...words, arch].join('-').replaceAll('/', '_');
}

async function repositorySources({ dir, name, settings }: ImageFolder): Promise<AptSource[]> {
  return Promise.all(
    settings.repository.map(async ({ key, key_from: from, ...repository }) => {
      const keyFile = join(dir, key);
      await access(keyFile).catch((cause: unknown) => {
        throw new KitError({
          code: 'repository-key-missing',
          message: `the key that signs ${repository.uri} is not in images/${name}`,
          expected: keyFile,
          got: 'no such file',
          hint: `Get it${from ? ` from ${from}` : ''}, compare its fingerprint with one that you
trust, and put it there.`.replaceAll('\n', ' '),
          cause,
        });
      });
      const { uri, suite, components } = repository;
      return { name: repository.name, uri, suites: [suite], components, keyFile };
    }),
  );
}

// Where an image's packages come from, as data: Debian's own suites and the repositories that the
// image names. This file owns what the node's own apt is told about them. Pure.

import type { ImageSettings, Repository } from './folder.ts';

export interface AptSource {
  name: string;
  uri: string;
  suites: string[];
  components: string[];
  /** The keys that sign it: a file, ASCII armoured or binary. */
  keyFile: string;
}

export const debianKeyring = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** Debian's suites of a release, at the mirrors given. */
export function debianSources(
  { release, components }: { release: string; components: string[] },
  mirrors: { main: string; security: string },
): AptSource[] {
  const keyFile = debianKeyring;
  return [
    {
      ...{ name: 'debian', uri: mirrors.main, suites: [release, `${release}-updates`] },
      ...{ components, keyFile },
    },
    {
      ...{ name: 'debian-security', uri: mirrors.security, suites: [`${release}-security`] },
      ...{ components, keyFile },
    },
  ];
}

/** Where a node keeps the keys of a repository that is not Debian's. */
export function nodeKeyFile({ name }: Repository): string {
  return `/usr/share/keyrings/${name}.asc`;
}

/**
 * What the node upgrades from, always at the public addresses: path in the root file system to the
 * text of a sources.list(5) file in deb822 format.
 */
export function nodeSourceFiles(settings: ImageSettings): Map<string, string> {
  const { release, components, mirror, security_mirror: security } = settings;
  const debian = debianSources({ release, components }, { main: mirror, security });
  const others = settings.repository.map((repository) => ({
    ...{ name: repository.name, uri: repository.uri, suites: [repository.suite] },
    ...{ components: repository.components, keyFile: nodeKeyFile(repository) },
  }));
  const path = (name: string) => `etc/apt/sources.list.d/${name}.sources`;
  return new Map([
    [path('debian'), debian.map(stanza).join('\n')],
    ...others.map((source): [string, string] => [path(source.name), stanza(source)]),
  ]);
}

function stanza({ uri, suites, components, keyFile }: AptSource): string {
  return [
    'Types: deb',
    `URIs: ${uri}`,
    `Suites: ${suites.join(' ')}`,
    `Components: ${components.join(' ')}`,
    `Signed-By: ${keyFile}`,
    '',
  ].join('\n');
}

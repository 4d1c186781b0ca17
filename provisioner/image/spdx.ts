// The image's bill of materials as SPDX 2.3 JSON (https://spdx.github.io/spdx-spec/v2.3/). Pure:
// the same packages and time give the same text.

import { derivedUuid } from './layout.ts';
import type { Role } from './lock.ts';
import type { DescribedPackage } from './stanza.ts';

export interface SpdxImage {
  name: string;
  arch: string;
  release: string;
  rawSha256: string;
  createdS: number;
}

/** A package with where its files are in the image. */
export interface RoledPackage extends DescribedPackage {
  role: Role;
}

/** The document's text. */
export function spdxDocument(image: SpdxImage, packages: readonly RoledPackage[]): string {
  const fullName = `${image.name}-${image.arch}`;
  const imageId = 'SPDXRef-image';
  const items = packages.map((item) => ({ item, id: spdxId(item) }));
  const document = {
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: 'SPDXRef-DOCUMENT',
    name: fullName,
    documentNamespace: `urn:uuid:${derivedUuid(`spdx/${fullName}/${image.rawSha256}`)}`,
    creationInfo: {
      created: new Date(image.createdS * 1000).toISOString().replace(/\.\d+Z$/, 'Z'),
      creators: ['Tool: commons-kit'],
    },
    documentDescribes: [imageId],
    packages: [
      {
        SPDXID: imageId,
        name: fullName,
        versionInfo: image.release,
        downloadLocation: 'NOASSERTION',
        filesAnalyzed: false,
        primaryPackagePurpose: 'OPERATING-SYSTEM',
        checksums: [{ algorithm: 'SHA256', checksumValue: image.rawSha256 }],
      },
      ...items.map(({ item, id }) => packageElement(item, id, image.release)),
    ],
    relationships: [
      relation('SPDXRef-DOCUMENT', 'DESCRIBES', imageId),
      ...items.map(({ id }) => relation(imageId, 'CONTAINS', id)),
    ],
  };
  return `${JSON.stringify(document, undefined, 1)}\n`;
}

/** Letters, digits, dots and dashes only (SPDX 2.3 § 7.2); the role tells doubles apart. */
function spdxId({ role, name, arch }: RoledPackage): string {
  const letters = `${role}-${name}-${arch}`.replaceAll('+', '.plus');
  return `SPDXRef-${letters}`;
}

function packageElement(item: RoledPackage, id: string, release: string): object {
  const version = encodeURIComponent(item.version);
  const name = encodeURIComponent(item.name);
  return {
    SPDXID: id,
    name: item.name,
    versionInfo: item.version,
    supplier: 'Organization: Debian',
    downloadLocation: 'NOASSERTION',
    filesAnalyzed: false,
    ...(item.homepage ? { homepage: item.homepage } : {}),
    sourceInfo: `built from source package ${item.sourceName}`,
    summary: item.summary,
    licenseConcluded: 'NOASSERTION',
    licenseDeclared: 'NOASSERTION',
    copyrightText: 'NOASSERTION',
    checksums: [{ algorithm: 'SHA256', checksumValue: item.sha256 }],
    externalRefs: [
      {
        referenceCategory: 'PACKAGE-MANAGER',
        referenceType: 'purl',
        referenceLocator: `pkg:deb/debian/${name}@${version}?arch=${item.arch}&distro=${release}`,
      },
    ],
  };
}

function relation(from: string, relationshipType: string, to: string): object {
  return { spdxElementId: from, relationshipType, relatedSpdxElement: to };
}

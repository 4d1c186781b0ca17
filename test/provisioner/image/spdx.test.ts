import test from 'ava';
import { type RoledPackage, spdxDocument } from '../../../provisioner/image/spdx.ts';

const a = 'a'.repeat(64);
const common = { role: 'root', arch: 'amd64', sha256: a, summary: 's' } as const;
const packages: RoledPackage[] = [
  { ...common, name: 'libstdc++6', version: '14.2.0-19', sourceName: 'gcc-14' },
  { ...common, name: 'snac2', version: '2.75-1', sourceName: 'snac2' },
];

test('the bill of materials names each package once, by legal ids, under the image', (t) => {
  const image = { name: 'snac', arch: 'amd64', release: 'trixie', rawSha256: a, createdS: 0 };
  const text = spdxDocument(image, packages);
  t.is(text, spdxDocument(image, packages));
  const document = JSON.parse(text);
  t.is(document.spdxVersion, 'SPDX-2.3');
  t.is(document.creationInfo.created, '1970-01-01T00:00:00Z');
  const ids: string[] = document.packages.map((item: { SPDXID: string }) => item.SPDXID);
  t.deepEqual(ids, [
    'SPDXRef-image',
    'SPDXRef-root-libstdc.plus.plus6-amd64',
    'SPDXRef-root-snac2-amd64',
  ]);
  t.true(ids.every((id) => /^SPDXRef-[A-Za-z0-9.-]+$/.test(id)));
  const purl = document.packages[1].externalRefs[0].referenceLocator;
  t.is(purl, 'pkg:deb/debian/libstdc%2B%2B6@14.2.0-19?arch=amd64&distro=trixie');
  const contained = document.relationships.filter(
    (item: { relationshipType: string }) => item.relationshipType === 'CONTAINS',
  );
  t.is(contained.length, 2);
});

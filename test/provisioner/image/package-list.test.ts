import test from 'ava';
import {
  compareLock,
  formatLock,
  parseStanzas,
  type RoledPackage,
  unvouched,
} from '../../../provisioner/image/package-list.ts';
import { spdxDocument } from '../../../provisioner/image/spdx.ts';

const a = 'a'.repeat(64);
const b = 'b'.repeat(64);
const stanzas = `Package: snac2
Version: 2.75-1
Architecture: amd64
Source: snac2 (2.75)
Homepage: https://codeberg.org/grunfink/snac2
Description-en: Simple ActivityPub instance
 More of it.
SHA256: ${a}

Package: libstdc++6
Source: gcc-14
Version: 14.2.0-19
Architecture: amd64
Description: GNU C++ library
SHA256: ${b}

Package: snac2
Version: 2.75-1
Architecture: amd64
SHA256: ${a}
`;
const inRoot = (): RoledPackage[] =>
  parseStanzas(stanzas).map((item) => ({ ...item, role: 'root' }));

test('what apt tells of packages becomes a sorted lock, each once', (t) => {
  t.is(
    formatLock(inRoot()),
    `root libstdc++6 14.2.0-19 amd64 ${b}\nroot snac2 2.75-1 amd64 ${a}\n`,
  );
  t.is(parseStanzas(stanzas)[0].sourceName, 'gcc-14');
});

test('a lock tells what came, what went, and what changed its bytes', (t) => {
  const lock = formatLock(inRoot());
  t.deepEqual(compareLock(lock, inRoot()), { unlocked: [], absent: [] });
  const changed = inRoot().map((item) => (item.name === 'snac2' ? { ...item, sha256: b } : item));
  t.deepEqual(compareLock(lock, changed), {
    unlocked: [`root snac2 2.75-1 amd64 ${b}`],
    absent: [`root snac2 2.75-1 amd64 ${a}`],
  });
  t.is(compareLock('', inRoot()).unlocked.length, 2);
  t.is(compareLock(lock, []).absent.length, 2);
});

test('a stanza without a digest is refused', (t) => {
  const stanza = 'Package: x\nVersion: 1\nArchitecture: all\n';
  t.throws(() => parseStanzas(stanza), { message: /SHA256/ });
});

test('an archive that the index does not vouch for is found', (t) => {
  const packages = parseStanzas(stanzas);
  t.deepEqual(unvouched(packages, new Set([a, b])), []);
  t.deepEqual(unvouched(packages, new Set([a])).map(({ name }) => name), ['libstdc++6']);
});

test('the bill of materials names each package once, by legal ids, under the image', (t) => {
  const image = { name: 'snac', arch: 'amd64', release: 'trixie', rawSha256: a, createdS: 0 };
  const text = spdxDocument(image, inRoot());
  t.is(text, spdxDocument(image, inRoot()));
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

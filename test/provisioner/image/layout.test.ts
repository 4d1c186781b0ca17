import test from 'ava';
import fc from 'fast-check';
import {
  derivedUuid,
  identifiersOf,
  MIB,
  planLayout,
  rootSizeFor,
  sfdiskScript,
} from '../../../provisioner/image/layout.ts';

const snac = { name: 'snac', arch: 'amd64', release: 'trixie' };

test('partitions follow each other on whole MiB, with room for the copy of the GPT', (t) => {
  const size = fc.integer({ min: 34 * MIB, max: 2 ** 40 });
  fc.assert(
    fc.property(size, size, fc.boolean(), (espSizeBytes, rootSizeBytes, bios) => {
      const layout = planLayout({ espSizeBytes, rootSizeBytes, bios });
      const { sizeBytes, biosBoot, esp, root } = layout;
      const parts = [...(biosBoot ? [biosBoot] : []), esp, root];
      const aligned = parts.flatMap((part) => [part.offsetBytes, part.sizeBytes]);
      return (
        aligned.every((bytes) => bytes % MIB === 0) &&
        (biosBoot !== undefined) === bios &&
        parts[0].offsetBytes === (bios ? MIB : 2 * MIB) &&
        esp.offsetBytes === 2 * MIB &&
        root.offsetBytes === esp.offsetBytes + esp.sizeBytes &&
        sizeBytes === root.offsetBytes + root.sizeBytes + MIB &&
        esp.sizeBytes >= espSizeBytes &&
        root.sizeBytes >= rootSizeBytes
      );
    }),
  );
  t.pass();
});

test('the root has room for its files and the spare', (t) => {
  const size = rootSizeFor(400 * MIB, 160 * MIB);
  t.true(size >= 400 * MIB * 1.125 + 160 * MIB);
  t.is(size % (16 * MIB), 0);
});

test('identifiers are the same each time, and differ between images', (t) => {
  t.deepEqual(identifiersOf(snac), identifiersOf({ ...snac }));
  const other = identifiersOf({ ...snac, name: 'other' });
  const all = [...Object.values(identifiersOf(snac)), ...Object.values(other)];
  t.is(new Set(all).size, all.length);
});

test('derived UUIDs are of version 8 and the variant of RFC 9562', (t) => {
  fc.assert(
    fc.property(fc.string(), (text) =>
      /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(
        derivedUuid(text),
      ),
    ),
  );
  t.pass();
});

test('sfdisk is told sectors, types and fixed ids', (t) => {
  const layout = planLayout({ espSizeBytes: 64 * MIB, rootSizeBytes: 512 * MIB, bios: true });
  const ids = identifiersOf(snac);
  const lines = sfdiskScript(layout, ids, 'amd64').trim().split('\n');
  t.deepEqual(lines.slice(0, 2), ['label: gpt', `label-id: ${ids.disk}`]);
  const parts = lines.filter((line) => line.startsWith('start='));
  t.is(parts.length, 3);
  t.true(parts[0].startsWith('start=2048, size=2048, type=21686148-'));
  t.true(parts[1].startsWith('start=4096, size=131072, type=C12A7328-'));
  t.true(parts[2].startsWith('start=135168, size=1048576, type=4F68BCE3-'));
  t.true(parts[2].includes(`uuid=${ids.root}`));
});

import test from 'ava';
import fc from 'fast-check';
import { KitError } from '../../../provisioner/errors.ts';
import {
  changeText,
  compareLocks,
  formatLock,
  type LockedPackage,
  parseLock,
  requireInstalled,
  roles,
} from '../../../provisioner/image/lock.ts';

const a = 'a'.repeat(64);
const b = 'b'.repeat(64);
const snac: LockedPackage = {
  ...{ role: 'root', name: 'snac2', version: '2.75-1', arch: 'amd64', sha256: a },
};
const shim: LockedPackage = {
  ...{ role: 'boot', name: 'shim-signed', version: '1:1.0~1', arch: 'amd64', sha256: b },
};

test('reading a lock is the inverse of writing it', (t) => {
  const item = fc.record({
    role: fc.constantFrom(...roles),
    name: fc.stringMatching(/^[a-z0-9][a-z0-9+.-]{1,20}$/),
    version: fc.stringMatching(/^[0-9][A-Za-z0-9.+:~-]{0,20}$/),
    arch: fc.constantFrom('all', 'amd64', 'arm64'),
    sha256: fc.stringMatching(/^[0-9a-f]{64}$/),
  });
  const lock = fc.record({ epochS: fc.nat(), packages: fc.array(item, { maxLength: 20 }) });
  fc.assert(
    fc.property(lock, (given) => {
      const text = formatLock(given);
      const read = parseLock(text, 'f');
      t.is(read.epochS, given.epochS);
      t.is(formatLock(read), text);
    }),
  );
});

test('comments are skipped; anything else that is no line of a lock is refused', (t) => {
  const text = formatLock({ epochS: 7, packages: [snac] });
  t.deepEqual(parseLock(`# why\n\n${text}`, 'f'), { epochS: 7, packages: [snac] });
  const faults = ['', 'epoch x\n', text.replace('root', 'toor'), `${text}root a 1 all short\n`];
  for (const fault of faults) {
    const error = t.throws(() => parseLock(fault, 'f'), { instanceOf: KitError });
    t.is(error.code, 'lock-malformed', fault);
  }
});

test('two locks differ by what came, went, rose, or changed its bytes', (t) => {
  const lock = (...packages: LockedPackage[]) => ({ epochS: 1, packages });
  t.deepEqual(compareLocks(lock(snac, shim), lock(shim, snac)), []);
  const newer = { ...snac, version: '2.76-1', sha256: b };
  const texts = (from: LockedPackage[], to: LockedPackage[]) =>
    compareLocks(lock(...from), lock(...to)).map(changeText);
  t.deepEqual(texts([snac], [newer, shim]), [
    '+ boot shim-signed 1:1.0~1',
    '~ root snac2 2.75-1 → 2.76-1',
  ]);
  t.deepEqual(texts([snac], []), ['- root snac2 2.75-1']);
  t.deepEqual(texts([snac], [{ ...snac, sha256: b }]), ['! root snac2 2.75-1: other bytes']);
});

test('what is installed must be what is locked, no less and no more', (t) => {
  const lock = { epochS: 1, packages: [snac, shim] };
  const { name, version, arch } = snac;
  t.notThrows(() => requireInstalled(lock, [{ name, version, arch }]));
  const differs = { instanceOf: KitError, code: 'lock-differs' };
  t.throws(() => requireInstalled(lock, []), differs);
  t.throws(() => requireInstalled(lock, [{ name, version: '3', arch }]), differs);
  const extra = [{ name, version, arch }, { name: 'nano', version: '1', arch }];
  t.throws(() => requireInstalled(lock, extra), differs);
});

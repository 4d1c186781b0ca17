import test from 'ava';
import fc from 'fast-check';
import { bootSector, coreImage, grubCfg } from '../../../provisioner/image/grub.ts';

test('the menu starts the current kernel, then the one before', (t) => {
  const text = grubCfg({ rootFsUuid: 'U-U', consoles: ['tty0', 'ttyS0,115200'] });
  t.true(text.includes('search --no-floppy --fs-uuid --set=root U-U'));
  const linux = text.split('\n').filter((line) => line.startsWith('  linux '));
  t.is(linux.length, 2);
  t.regex(linux[0], /^ {2}linux \/vmlinuz root=UUID=U-U rw .*console=tty0 console=ttyS0,115200$/);
  t.regex(linux[1], /^ {2}linux \/vmlinuz\.old /);
});

test("GRUB's BIOS images are patched where they are told, and nowhere else", (t) => {
  const image = fc.uint8Array({ minLength: 1024, maxLength: 2048 });
  fc.assert(
    fc.property(image, fc.nat(2 ** 31), (bytes, sector) => {
      const boot = Buffer.from(bootSector(bytes, sector));
      t.is(boot.length, 440);
      t.is(boot.readBigUInt64LE(0x5c), BigInt(sector));
      const core = Buffer.from(coreImage(bytes, sector));
      t.is(core.readBigUInt64LE(0x1f4), BigInt(sector + 1));
      const untouched = (copy: Buffer, holes: [number, number][]) =>
        copy.every((b, at) => b === bytes[at] || holes.some(([a, z]) => at >= a && at < z));
      t.true(untouched(boot, [[0x5c, 0x64], [0x66, 0x68]]));
      t.true(untouched(core, [[0x1f4, 0x1fc]]));
    }),
  );
});

// The tables are judged by util-linux, on a file; that a Pi starts from them, nothing here shows.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import {
  identifiersOf,
  type Layout,
  MIB,
  planLayout,
  SECTOR,
  sfdiskScript,
} from '../../../provisioner/image/layout.ts';
import {
  cmdlineTxt,
  configTxt,
  extraCommandLine,
  hybridMbr,
  raspiFirmwareFiles,
  raspiFstabLine,
  raspiKernelFiles,
} from '../../../provisioner/image/raspi.ts';

const layout = planLayout({ espSizeBytes: 4 * MIB, rootSizeBytes: 4 * MIB, bios: false });
const ids = identifiersOf({ name: 'snac', arch: 'arm64', release: 'trixie' });

function run(tool: string, args: string[], input = ''): string {
  const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` };
  return execFileSync(tool, args, { input, env, stdio: ['pipe', 'pipe', 'pipe'] }).toString();
}

/** A drive laid out as the builder does, made a hybrid one. */
function withDrive(work: (drive: string, mbr: Buffer) => void, of: Layout = layout): void {
  const dir = mkdtempSync(join(tmpdir(), 'kit-raspi-'));
  try {
    const drive = join(dir, 'drive.img');
    writeFileSync(drive, '');
    truncateSync(drive, of.sizeBytes);
    run('sfdisk', ['-q', drive], sfdiskScript(of, ids, 'arm64'));
    const bytes = readFileSync(drive);
    const mbr = hybridMbr(bytes.subarray(0, SECTOR), of.esp);
    bytes.set(mbr);
    writeFileSync(drive, bytes);
    work(drive, mbr);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

interface Partition {
  start: number;
  size: number;
  type: string;
}

function partitionsOf(drive: string): { label: string; partitions: Partition[] } {
  const { label, partitions } = JSON.parse(run('sfdisk', ['--json', drive])).partitiontable;
  return { label, partitions };
}

test('the first sector is, byte for byte, what it should be', (t) => {
  const sector = Buffer.alloc(SECTOR);
  sector[0x1be + 4] = 0xee;
  sector.writeUInt16LE(0xaa55, 510);
  sector.fill(7, 0, 440);
  const mbr = hybridMbr(sector, { offsetBytes: 2 * MIB, sizeBytes: 256 * MIB });
  t.deepEqual(mbr.subarray(0, 0x1be), sector.subarray(0, 0x1be));
  t.is(
    mbr.subarray(0x1be).toString('hex'),
    // status CHS    type CHS  first    sectors
    `00feffff${'0c'}feffff${'00100000'}${'00000800'}${'00'.repeat(32)}` +
      `00feffff${'ee'}feffff${'01000000'}${'ff0f0000'}55aa`,
  );
});

test('what reads a GPT still does, and what reads an MBR finds the boot partition first', (t) => {
  withDrive((drive, mbr) => {
    const { label, partitions } = partitionsOf(drive);
    t.is(label, 'gpt');
    t.deepEqual(
      partitions.map(({ start, size }) => [start * SECTOR, size * SECTOR]),
      [layout.esp, layout.root].map(({ offsetBytes, sizeBytes }) => [offsetBytes, sizeBytes]),
    );
    t.regex(run('blkid', ['-p', drive]), /PTTYPE="gpt"/);
    // The same first sector without a GPT behind it.
    writeFileSync(drive, Buffer.concat([mbr, Buffer.alloc(layout.sizeBytes - SECTOR)]));
    const asMbr = partitionsOf(drive);
    t.is(asMbr.label, 'dos');
    t.is(asMbr.partitions[0].type, 'c');
    t.is(asMbr.partitions[0].start * SECTOR, layout.esp.offsetBytes);
    t.is(asMbr.partitions[0].size * SECTOR, layout.esp.sizeBytes);
  });
});

test('the root grows over a larger drive, and the hybrid MBR stays', (t) => {
  withDrive((drive, mbr) => {
    truncateSync(drive, layout.sizeBytes + 64 * MIB);
    run('sfdisk', ['-q', '--no-reread', '--relocate', 'gpt-bak-std', drive]);
    run('sfdisk', ['-q', '--no-reread', '-N', '2', drive], ', +\n');
    const [, root] = partitionsOf(drive).partitions;
    t.true(root.size * SECTOR > 64 * MIB);
    t.deepEqual(readFileSync(drive).subarray(0, SECTOR), mbr);
  });
});

test('a sector that is no protective MBR is refused', (t) => {
  t.throws(() => hybridMbr(Buffer.alloc(SECTOR), layout.esp), { instanceOf: RangeError });
  withDrive((_, mbr) => {
    t.throws(() => hybridMbr(mbr, layout.esp), { instanceOf: RangeError });
  });
});

test('the texts name the kernel by the files that stand beside them', (t) => {
  const files = raspiKernelFiles('6.12.117+deb13-arm64');
  const config = configTxt('6.12.117+deb13-arm64');
  const kernel = /^kernel=(.*)$/m.exec(config)?.[1] ?? '';
  const initramfs = /^initramfs (.*)$/m.exec(config)?.[1] ?? '';
  t.is(files[kernel], 'boot/vmlinuz-6.12.117+deb13-arm64');
  t.is(files[initramfs], 'boot/initrd.img-6.12.117+deb13-arm64');
  t.is(
    files['bcm2711-rpi-4-b.dtb'],
    'usr/lib/linux-image-6.12.117+deb13-arm64/broadcom/bcm2711-rpi-4-b.dtb',
  );
  t.deepEqual(Object.keys(raspiFirmwareFiles), ['start4.elf', 'fixup4.dat']);
});

test('the root file system is named by its own id, and last', (t) => {
  const { rootFs: rootFsUuid } = ids;
  const words = cmdlineTxt({ rootFsUuid }).trimEnd().split(' ');
  const roots = words.filter((word) => word.startsWith('root='));
  t.is(roots.at(-1), `root=UUID=${rootFsUuid}`);
  t.false(words.some((word) => word.startsWith('cma=')));
  t.true(cmdlineTxt({ rootFsUuid }).endsWith(extraCommandLine({ rootFsUuid })));
  // The firmware takes one line.
  t.is(cmdlineTxt({ rootFsUuid }).split('\n').length, 2);
});

test('fstab names the boot partition as blkid writes a FAT’s number', (t) => {
  t.regex(raspiFstabLine({ espVolume: 'a1b2c3d4' }), /^UUID=A1B2-C3D4 \/boot\/firmware vfat /);
  withDrive((drive) => {
    const fstab = `${drive}.fstab`;
    writeFileSync(fstab, raspiFstabLine(ids));
    const line = run('findmnt', ['--fstab', '-F', fstab, '-n', '-o', 'SOURCE,TARGET,OPTIONS']);
    t.regex(line, /^UUID=\S+ +\/boot\/firmware +\S*x-systemd\.automount/);
  });
});

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import test from 'ava';
import { Command } from 'commander';

import { drivesDocument, drivesText, flashCommand } from '../../../provisioner/drive/command.ts';
import { imagePath, progressTo, resultText } from '../../../provisioner/drive/command.ts';
import { judgeDrives } from '../../../provisioner/drive/eligible.ts';
import type { FlashResult } from '../../../provisioner/drive/job.ts';
import { parseLsblk } from '../../../provisioner/drive/lsblk.ts';
import { KitError } from '../../../provisioner/errors.ts';
import { makeBench } from '../../helpers/bench.ts';
import { makeTinyImage } from '../../helpers/tiny-image.ts';

function verdictsOf(name: string) {
  const file = new URL(`cases/${name}.json`, import.meta.url);
  const { lsblk, cards } = JSON.parse(readFileSync(file, 'utf8'));
  return judgeDrives(parseLsblk(lsblk, { cards }));
}

test('drives are listed with what is on them, disks with why not', (t) => {
  const verdicts = [...verdictsOf('usb-stick-used'), ...verdictsOf('nvme-built-in')];
  const text = drivesText(verdicts);
  t.is(
    text,
    `Drives:
  /dev/sdb  32.0 GB  Ultra Fit  4C530001  (2 partitions: vfat "HOLIDAY", ext4)
Refused:
  /dev/nvme0n1  32.0 GB  PM9A1: this machine runs from it: /boot/efi`,
  );
  const { drives } = drivesDocument(verdicts);
  t.deepEqual(drives.map(({ path, eligible }) => [path, eligible]), [
    ['/dev/sdb', true],
    ['/dev/nvme0n1', false],
  ]);
  t.regex(drivesText(verdictsOf('sata-empty')), /^No drive may be erased/);
});

test('flash refuses a wrong command line, and asks nobody who is not there', async (t) => {
  const bench = await makeBench();
  makeTinyImage(join(bench.dir, 'built'));
  const drives = ['a.img', 'b.img'].map((name) => join(bench.dir, name));
  const lines: [code: string, ...args: string[]][] = [
    ['drives-do-not-match', 'alice', '--drive', ...drives],
    ['unknown-kit', 'carol', '--drive', drives[0]],
    ['same-kit-twice', 'alice', 'alice', '--yes', '--drive', ...drives],
    ['size-invalid', 'alice', '--size', 'big', '--drive', drives[0]],
    ['confirmation-needed', 'alice', '--drive', drives[0]],
  ];
  for (const [code, ...args] of lines) {
    const program = new Command('kit').option('--json').option('--campaign <file>');
    program.option('--identity <file>').addCommand(flashCommand());
    const globals = ['--json', '--campaign', bench.campaign.file];
    const identity = ['--identity', bench.identity.file];
    const line = [...globals, ...identity, 'flash', ...args];
    const error = await t.throwsAsync(program.parseAsync(line, { from: 'user' }), {
      instanceOf: KitError,
    });
    t.is(error.code, code);
    t.is(error.exitCode, 2);
  }
  bench.remove();
});

test('a campaign’s image lies where it is built to, or where one says', async (t) => {
  const { campaign, remove } = await makeBench();
  t.is(imagePath(campaign, {}), join(campaign.dir, 'built/tiny-amd64.img.zst'));
  t.is(imagePath(campaign, { images: '/x' }), '/x/tiny-amd64.img.zst');
  t.is(imagePath(campaign, { image: '/y.img.zst', images: '/x' }), '/y.img.zst');
  remove();
});

test('a person hears that a drive goes on, is done, hangs, or is slow', (t) => {
  const heard: string[] = [];
  const tell = progressTo({
    say() {},
    event: ({ type, text }) => heard.push(`${type}: ${text}`),
    result() {},
  });
  const about = { kit: 'alice', totalBytes: 1000, resumedAtBytes: 430 };
  tell({ ...about, phase: 'write', doneBytes: 430 });
  tell({ ...about, phase: 'write', doneBytes: 431 });
  tell({ ...about, phase: 'stalled', doneBytes: 431, silentMs: 30_400 });
  tell({ ...about, phase: 'write', doneBytes: 500 });
  tell({ ...about, phase: 'done', doneBytes: 0, totalBytes: 0 });
  t.deepEqual(heard, [
    'flash: alice: resuming at 43 %',
    'stalled: alice: the drive has not answered for 30 s; still waiting',
    'flash: alice: writing 50 %',
    'flash: alice: done',
  ]);
  const result: FlashResult = {
    ...{ kit: 'alice', drive: '/dev/sdb', kind: 'block', serial: '', sizeBytes: 32e9 },
    ...{ imageSha256: '', resumedAtBytes: 0, writtenBytes: 450e6, verifiedBytes: 450e6 },
    ...{ readBack: 'direct', hostKeyFingerprint: '', writeSeconds: 150, verifySeconds: 30 },
    slow: true,
  };
  t.regex(resultText(result), /is ready: 0\.5 GB written in 150\.0 s.*\n +SLOW: 3\.0 MB\/s/);
  t.notRegex(resultText({ ...result, slow: false }), /SLOW/);
});

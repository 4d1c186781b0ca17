// Power cuts by the hundred without a hundred boots: one boot's writes are recorded, and states that
// a drive with a cache may be left in are made of the record. The root of each must mend by itself
// (e2fsck -p, then nothing left to find), and whatever of the first boot was on the drive must be
// whole: no report half written, no identity gone before it was taken over. One of them is booted.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

import { bootFacts } from '../../provisioner/check/node-facts.ts';
import { secretTraces } from '../../provisioner/drive/kit-secrets.ts';
import { gatherFacts } from '../../provisioner/node/configure.ts';
import type { Power } from './power.ts';
import type { BootStep } from './steps.ts';
import type { FlashedKit, Subject } from './subject.ts';
import { makeCrashState, readWriteLog } from './write-log.ts';

export interface Recorded {
  /** The record, and the drive as it was when it began. */
  path: string;
  base: string;
}

export async function startRecord(subject: Subject, { drive }: FlashedKit): Promise<Recorded> {
  const recorded = { path: join(subject.dir, 'writes.log'), base: join(subject.dir, 'before.img') };
  run('cp', ['--sparse=always', drive, recorded.base]);
  run('truncate', ['--size', '0', recorded.path]);
  return recorded;
}

export function crashSteps(
  subject: Subject,
  parts: { power: Power; kit: () => FlashedKit; recorded: () => Recorded },
): BootStep[] {
  const { power, kit, recorded } = parts;
  const state = join(subject.dir, 'state.img');
  return [
    {
      about: 'whatever a drive with a cache kept of that boot mends by itself',
      async run() {
        const { path, base } = recorded();
        const record = { path, log: await readWriteLog(path), applied: 0 };
        const { length } = record.log.entries;
        const moments = Array.from({ length: subject.states }, () =>
          Math.floor(Math.random() * length),
        ).sort((a, b) => a - b);
        let lost = 0;
        for (const [index, sent] of moments.entries()) {
          const moment = { base, target: state, sent, random: Math.random };
          const made = await makeCrashState(record, moment);
          lost += made.lost;
          // One that is booted must meet its file system as the cut left it.
          const isBooted = index === Math.floor(moments.length / 2);
          if (isBooted) run('cp', ['--sparse=always', state, `${state}.boot`]);
          audit(state, kit(), `cut after ${sent} of ${length} writes`);
        }
        return `${moments.length} states of ${length} writes, ${lost} writes lost`;
      },
    },
    {
      about: 'one of these states boots, and is the kit',
      async run() {
        await power.on({ cable: true, drive: `${state}.boot` });
        const connection = await power.login();
        const facts = await gatherFacts(connection, bootFacts(secretTraces(kit().secrets.kit)));
        assert.deepEqual(facts.firstBoot?.failed, []);
        assert.deepEqual(facts.secretsOnEsp, []);
        const log = await connection.run('cat /run/initramfs/fsck.log', { timeoutMs: 60_000 });
        await power.pullPlug();
        return lastWords(log.stdout);
      },
    },
  ];
}

/** What e2fsck concluded: the log of a boot's check closes with a date and a rule. */
export function lastWords(log: string): string {
  const about = log.split('\n').filter((line) => line.startsWith('kit-root: '));
  return about.at(-1) ?? log;
}

/** @throws AssertionError what is not whole */
function audit(drive: string, { manifest, identity, kit }: FlashedKit, about: string): void {
  // In a file of its own: at an offset within one, e2fsck does not find it again after the journal.
  const root = `${drive}.root`;
  const from = ['iflag=skip_bytes', `skip=${manifest.root.offsetBytes}`];
  run('dd', [`if=${drive}`, `of=${root}`, 'bs=4M', ...from, 'conv=sparse', 'status=none']);
  const mended = run('e2fsck', ['-p', root], [0, 1]);
  // All of it, in the same way: nothing may be left that needs an answer.
  run('e2fsck', ['-fp', root], [0, 1]);
  run('e2fsck', ['-fn', root]);
  const read = (path: string): string => run('debugfs', ['-R', `cat ${path}`, root]);
  const onEsp = run(
    'mdir',
    ['-b', '-i', `${drive}@@${manifest.esp.offsetBytes}`, '::/kit'],
    [0, 1],
  );
  const state = '/var/lib/commons-kit';
  const reports = ['first-boot.json', 'first-boot.pending'].map((name) => read(`${state}/${name}`));
  const report = reports.find((text) => text !== '');
  const names = [...identity.keys()].filter((name) => name !== 'version');
  const left = names.filter((name) => onEsp.includes(`/kit/${name}\n`));
  const told = `${about}; ${mended}; on the boot partition: ${left.join(' ')}`;
  if (report === undefined) return assert.deepEqual(left, names, `not reported, but taken: ${told}`);
  assert.deepEqual(JSON.parse(report).failed, [], told);
  assert.equal(read('/etc/hostname').trim(), kit.name, told);
  const hostKey = identity.get('ssh_host_ed25519_key')!;
  assert.equal(read('/etc/ssh/ssh_host_ed25519_key').trim(), hostKey.trim(), told);
}

function run(program: string, words: string[], accept = [0]): string {
  const { status, stdout, stderr, error } = spawnSync(program, words, {
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C.UTF-8', MTOOLS_SKIP_CHECK: '1' },
  });
  const said = `${program} ${words.join(' ')}: ${error ?? status}\n${stdout}\n${stderr}`;
  assert.ok(status !== null && accept.includes(status), said);
  return stdout;
}

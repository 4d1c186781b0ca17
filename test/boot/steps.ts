// What is proven of an image, in order. Each step says what it saw; what it expected and did not
// find, it throws.

import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';

import { judgeBoot } from '../../provisioner/check/node.ts';
import { bootFacts } from '../../provisioner/check/node-facts.ts';
import { identityVersion } from '../../provisioner/drive/identity-files.ts';
import { secretTraces } from '../../provisioner/drive/kit-secrets.ts';
import { KitError } from '../../provisioner/errors.ts';
import { gatherFacts } from '../../provisioner/node/configure.ts';
import { crashSteps, lastWords, startRecord, type Recorded } from './crash-states.ts';
import { linesOnEsp } from './drive.ts';
import { measureIdle } from './idle.ts';
import { connectPower } from './power.ts';
import type { TimerWrites } from './timers.ts';
import {
  flashKit,
  killFlash,
  openFlashBench,
  type FlashBench,
  type FlashedKit,
  type FlashMoment,
  type Subject,
} from './subject.ts';
import { joinWifi } from './wifi.ts';

export interface BootStep {
  about: string;
  /** @returns what was seen, in a few words */
  run(): Promise<string>;
}

/** A first boot is cut at some moment of its work, which takes some seconds under emulation. */
const cutWithinMs = 4000;

/** SeaBIOS's last words, and OVMF's: its shell is what it starts where there is nothing else. */
const nothingStarts = /No bootable (device|option)|UEFI Interactive Shell/;

/** Where `kit flash` is killed, at a random moment after `from` of the phase. */
const killMoments: { phase: FlashMoment['phase']; from: number }[] = [
  { phase: 'write', from: 0 },
  { phase: 'write', from: 0.5 },
  { phase: 'verify', from: 0 },
];

export function bootSteps(subject: Subject): { steps: BootStep[]; end(): Promise<void> } {
  let image = '';
  let bench: FlashBench | undefined;
  let flashed: FlashedKit | undefined;
  let recorded: Recorded | undefined;
  const kit = (): FlashedKit => flashed!;
  const power = connectPower(subject, kit);
  const traces = () => secretTraces(kit().secrets.kit);
  const secretLines = () => traces().flatMap(({ lines }) => lines);
  const facts = async () => gatherFacts(await power.login(), bootFacts(traces()));
  const ask = async (script: string): Promise<string> => {
    const connection = await power.login();
    const { stdout, stderr, exitCode } = await connection.run(script, { timeoutMs: 300_000 });
    assert.equal(exitCode, 0, `${script}\n${stdout}\n${stderr}`);
    return stdout.trim();
  };

  const steps: BootStep[] = [
    {
      about: 'an image is there',
      run: async () => (image = await subject.image()),
    },
    ...killMoments.map(({ phase, from }) => ({
      about: `kit flash killed in ${phase}: nothing on the drive starts`,
      async run() {
        bench ??= await openFlashBench(subject, image);
        const share = from + Math.random() * (0.9 - from);
        await killFlash(bench, { phase, share });
        await power.on({ cable: false, drive: bench.drive });
        await power.hear(nothingStarts);
        await power.pullPlug();
        return `${Math.round(share * 100)} %`;
      },
    })),
    {
      about: 'kit flash goes on with it: a kit, its secrets on the boot partition',
      async run() {
        flashed = await flashKit(subject, bench!);
        assert.ok(flashed.resumedAtBytes > 0, 'it began anew');
        const found = await linesOnEsp(flashed, secretLines());
        assert.equal(found, secretLines().length, 'a search that finds nothing here proves nothing');
        return `${found} secret lines`;
      },
    },
    {
      about: 'its plug is pulled in the first boot, which has no network',
      async run() {
        await power.on({ cable: false });
        const accelerator = power.accelerator();
        await power.hear(/first boot: /);
        const afterMs = Math.round(Math.random() * cutWithinMs);
        await delay(afterMs, undefined, { signal: subject.signal });
        await power.pullPlug();
        return `${accelerator}, ${subject.firmware}; ${afterMs} ms into it`;
      },
    },
    {
      about: 'the next boot lets the bench in, by the host key made before',
      async run() {
        recorded = await startRecord(subject, kit());
        await power.on({ cable: true, writeLog: recorded.path });
        await power.login();
        return kit().secrets.kit.sshHostKey.fingerprint;
      },
    },
    {
      about: 'every setting is applied, none failed',
      async run() {
        const { firstBoot } = await facts();
        assert.ok(firstBoot, 'first-boot.json is there');
        assert.deepEqual(firstBoot.failed, []);
        assert.equal(firstBoot.version, identityVersion);
        const wanted = [...kit().identity.keys()].filter((name) => name !== 'version');
        assert.deepEqual(firstBoot.applied.toSorted(), ['root-size', ...wanted].toSorted());
        assert.equal(await ask('hostname'), kit().kit.name);
        assert.equal(await ask('cat /etc/timezone'), kit().campaign.timezone);
        const answers = await ask(`getent ahosts ${kit().kit.domain}`);
        assert.match(answers, /^(127\.0\.1\.1|::1) /m, 'the node knows its own domain');
        return `${firstBoot.applied.length} settings`;
      },
    },
    {
      about: 'no secret is left on the boot partition, and the root fills the drive',
      async run() {
        const amiss = judgeBoot(await facts()).filter(({ state }) => state !== 'ok');
        assert.deepEqual(amiss, []);
        assert.equal(await linesOnEsp(kit(), secretLines()), 0, 'found from outside');
        const { disk } = await facts();
        return `${(disk.sizeBytes / 1e9).toFixed(1)} GB, ${(disk.freeBytes / 1e9).toFixed(1)} free`;
      },
    },
    { about: 'no unit failed', run: () => noUnitFailed(ask) },
    {
      about: 'its root is checked before it is mounted',
      async run() {
        const log = await ask('cat /run/initramfs/fsck.log');
        assert.match(log, /kit-root: (clean|recovering journal)|recovering journal/);
        assert.match(await ask('findmnt -no OPTIONS /'), /errors=panic/);
        return lastWords(log);
      },
    },
    ...(subject.firmware === 'secure-boot'
      ? [{ about: 'the firmware enforces Secure Boot', run: () => secureBoot(ask) }]
      : []),
    ...(subject.arch === 'amd64'
      ? [{ about: 'it joins its Wi-Fi', run: () => joinWifi(ask, kit()) }]
      : []),
    ...(subject.idleMinutes > 0 ? [{ about: 'it writes little while idle', run: idle }] : []),
    {
      about: 'its plug is pulled while it writes; what it had synced is there when it is back',
      async run() {
        const synced = await writeUntilCut();
        await power.on({ cable: true });
        await power.login();
        const kept = Number(await ask('cat /var/lib/boot-test/counter'));
        assert.ok(kept >= synced, `${synced} was synced, ${kept} is there`);
        // More may have been on its way when the power went.
        const loaded = Number(await ask('wc -c < /var/lib/boot-test/load'));
        assert.ok(loaded >= kept * loadBytes, `${loaded} bytes for ${kept} times ${loadBytes}`);
        await noUnitFailed(ask);
        return `${synced} synced, ${kept} kept`;
      },
    },
    {
      about: 'a secret in a removed file is found again',
      async run() {
        await ask(plantAndRemove);
        const { secretsOnEsp } = await facts();
        assert.deepEqual(secretsOnEsp, ['host key']);
        return secretsOnEsp!.join(', ');
      },
    },
    {
      about: 'a fault of its file system makes it restart, and is mended',
      async run() {
        const connection = await power.login();
        // Nobody is left to answer.
        const fault = connection.run(faultScript, { timeoutMs: 60_000 }).then(
          ({ stderr }) => assert.fail(`it went on: ${stderr}`),
          (error: unknown) => assert.ok(error instanceof KitError, String(error)),
        );
        await power.hear(/Kernel panic - not syncing: EXT4-fs .*: panic forced after error/);
        await power.hear(/Rebooting in 10 seconds/);
        // Without the ten seconds: what QEMU emulates does not come up again each time it restarts.
        await power.pullPlug();
        await fault;
        await power.on({ cable: true });
        assert.match(await ask('findmnt -no OPTIONS /'), /^rw,/);
        const log = await ask('cat /run/initramfs/fsck.log');
        // A journal that is whole is replayed; the mark of an error brings all five passes.
        assert.match(log, /Pass 5: Checking group summary information/);
        await power.pullPlug();
        return lastWords(log);
      },
    },
    ...(subject.states > 0
      ? crashSteps(subject, { power, kit, recorded: () => recorded! })
      : []),
  ];
  return { steps, end: () => power.pullPlug() };

  async function idle(): Promise<string> {
    const measured = await measureIdle(ask, subject.idleMinutes);
    const { minutes, writtenBytes, timers, bytesPerDay, writers } = measured;
    console.log(`  who wrote:\n    ${writers.join('\n    ')}`);
    console.log(`  what timers write:\n    ${timers.map(timerLine).join('\n    ')}`);
    const perDay = `${(bytesPerDay / 1e6).toFixed(1)} MB a day`;
    assert.ok(bytesPerDay < mostIdleBytesPerDay, perDay);
    return `${writtenBytes} bytes in ${minutes} minutes, ${perDay}`;
  }

  /** A counter, durable before it is told; beside it a file that grows by its blocks. */
  async function writeUntilCut(): Promise<number> {
    const connection = await power.login();
    let synced = 0;
    const cut = new AbortController();
    const timer = setTimeout(() => cut.abort(), 5000 + Math.random() * 5000);
    const writing = connection.run(writeForever, {
      timeoutMs: 60_000,
      onOutput(piece) {
        for (const line of piece.split('\n')) if (/^\d+$/.test(line)) synced = Number(line);
      },
    });
    let over: string | undefined;
    const ended = writing
      .then(({ stderr }) => stderr, String)
      .then((words) => (over = `the writer ended by itself: ${words}`));
    while (!cut.signal.aborted || synced < 3) {
      assert.equal(over, undefined);
      await delay(50, undefined, { signal: subject.signal });
    }
    clearTimeout(timer);
    await power.pullPlug();
    await ended;
    return synced;
  }
}

function timerLine({ timer, writtenBytes, timesPerDay, result }: TimerWrites): string {
  return `${writtenBytes} bytes, ${timesPerDay.toFixed(2)} times a day, ${result}: ${timer}`;
}

/** A card of 32 GB that bears 10 TB lasts longer than its owner at this. */
const mostIdleBytesPerDay = 50e6;

/** ext4's own way of trying what an error does (Documentation/ABI/testing/sysfs-fs-ext4). */
const faultScript = `root=$(findmnt -no SOURCE /)
echo 1 > "/sys/fs/ext4/\${root#/dev/}/trigger_fs_error"`;

const loadBytes = 65_536;
const writeForever = `mkdir -p /var/lib/boot-test
cd /var/lib/boot-test
n=0
: > load
while :; do
  head -c ${loadBytes} /dev/urandom >> load
  n=$((n + 1))
  echo $n > counter.part && sync counter.part load && mv counter.part counter && sync .
  echo $n
done`;

const plantAndRemove = `set -e
mkdir -p /run/boot-test
esp=$(blkid -t LABEL=KIT-ESP -o device | head -n 1)
mount "$esp" /run/boot-test
cp /etc/ssh/ssh_host_ed25519_key /run/boot-test/forgotten
sync
rm /run/boot-test/forgotten
umount /run/boot-test`;

/** Waits for the boot to have come to its end. */
async function noUnitFailed(ask: (script: string) => Promise<string>): Promise<string> {
  const failed = await ask(
    `timeout 280 systemctl is-system-running --wait >/dev/null
systemctl list-units --state=failed --plain --no-legend`,
  );
  assert.equal(failed, '');
  return await ask('systemd-analyze time | head -n 1');
}

/** UEFI 2.10 § 3.3: the variable's last byte; and the kernel's own word. */
async function secureBoot(ask: (script: string) => Promise<string>): Promise<string> {
  const variable = '/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c';
  assert.equal(await ask(`od -An -tu1 -j4 ${variable}`), '1');
  return ask("journalctl -k -g 'secure ?boot' -o cat | tail -n 1");
}

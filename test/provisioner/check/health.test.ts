// A node's health: what its system says is read as the kernel and the tools really say it, and each
// fault fails with advice of its own.

import test from 'ava';

import type { Check } from '../../../provisioner/check/finding.ts';
import { judgeHealth } from '../../../provisioner/check/health.ts';
import {
  healthFacts, listeningPorts, readBytes, writtenBytes, type HealthFacts,
} from '../../../provisioner/check/health-facts.ts';
import { FactError } from '../../../provisioner/node/fact.ts';

const well: HealthFacts = {
  timeSynchronised: true,
  uptimeS: 4000,
  root: { writable: true, errors: 0 },
  kernelTrouble: [],
  failedUnits: [],
  drive: { sort: 'eMMC', wornPercent: 10, sound: true },
  speed: { readBytesPerS: 40e6, writeBytesPerS: 12e6 },
  machine: { arch: 'x86_64', model: '' },
  listening: [22, 80, 443, 8010],
  backup: undefined,
};

test('a node in good health passes every check', (t) => {
  t.deepEqual(judgeHealth(well).filter(({ state }) => state !== 'ok'), []);
});

type Fault = [
  what: string,
  changes: Partial<HealthFacts>,
  wanted: Pick<Check, 'name' | 'state'>,
  measured: RegExp,
  advice: RegExp,
];

const failing = (name: string) => ({ name, state: 'failed' as const });
const unseen = (name: string) => ({ name, state: 'unknown' as const });
const ioError = 'I/O error, dev mmcblk0, sector 4096 op 0x0:(READ)';
const ext4Error = 'EXT4-fs error (device vda2): ext4_lookup:1855: inode #131: bad';

const faults: Fault[] = [
  ['no time server', { timeSynchronised: false }, unseen('time-server'), /heard none/, /UDP 123/],
  ['a drive that fails', { kernelTrouble: [ext4Error, ioError] }, failing('power-cut'),
    /^I\/O error, dev mmcblk0/, /new drive/],
  ['a read-only root', { root: { writable: false, errors: 3 } }, failing('power-cut'),
    /read-only/, /Reboot.*new drive/],
  ['errors that ext4 counted', { root: { writable: true, errors: 3 } }, failing('power-cut'),
    /3 errors recorded/, /fsck/],
  ['errors since the start', { kernelTrouble: [ext4Error] }, failing('power-cut'),
    /ext4_lookup/, /fsck/],
  ['a root that counts nothing', { root: { writable: true, errors: undefined } },
    unseen('power-cut'), /no count/, /Pull its plug/],
  ['a failed unit', { failedUnits: ['snac2.service', 'x.mount'] }, failing('running'),
    /snac2\.service, x\.mount/, /journalctl -u snac2\.service/],
  ['a slow card', { speed: { readBytesPerS: 20e6, writeBytesPerS: 1.9e6 } },
    failing('drive-speed'), /20\.0 MB\/s read, 1\.9 MB\/s written/, /A1/],
  ['a card that hangs', { speed: { readBytesPerS: 0, writeBytesPerS: 0 } },
    failing('drive-speed'), /nearly nothing/, /A1/],
  ['no room to measure', { speed: undefined }, unseen('drive-speed'), /not measured/, /`disk`/],
  ['a worn eMMC', { drive: { sort: 'eMMC', wornPercent: 60, sound: true } },
    failing('drive-health'), /60 % worn/, /lasts longer/],
  ['a drive that says it is failing', { drive: { sort: 'drive', wornPercent: 5, sound: false } },
    failing('drive-health'), /failing/, /new drive/],
  ['a card that tells nothing',
    { drive: { sort: 'SD card', wornPercent: undefined, sound: undefined } },
    unseen('drive-health'), /SD card tells nothing/, /whose age/],
  ['no drive', { drive: undefined }, unseen('drive-health'), /no drive/, /lsblk/],
];

for (const [what, changes, wanted, measured, advice] of faults) {
  test(`${what} is said, alone, with advice`, (t) => {
    const found = judgeHealth({ ...well, ...changes }).filter(({ state }) => state !== 'ok');
    t.is(found.length, 1);
    t.like(found[0], wanted);
    t.regex(found[0].measured, measured);
    t.regex(found[0].advice, advice);
  });
}

const facts = healthFacts();

test('eMMC’s wear is the worse of its two memories; SD cards tell none', (t) => {
  const drive = (text: string) => facts.drive.parse(text, 0);
  t.deepEqual(drive('type MMC\nlife 0x01 0x03\neol 0x01'),
    { sort: 'eMMC', wornPercent: 30, sound: true });
  t.deepEqual(drive('type MMC\nlife 0x0b 0x01\neol 0x03'),
    { sort: 'eMMC', wornPercent: 110, sound: false });
  t.deepEqual(drive('type SD'), { sort: 'SD card', wornPercent: undefined, sound: undefined });
  t.is(facts.drive.parse('', 1), undefined);
});

test('smartctl’s verdict and an NVMe’s wear are read; words that are no JSON are refused', (t) => {
  const smart = '{"smart_status":{"passed":true},' +
    '"nvme_smart_health_information_log":{"percentage_used":4}}';
  const drive = (text: string) => facts.drive.parse(`type \nsmart ${text}`, 0);
  t.deepEqual(drive(smart), { sort: 'drive', wornPercent: 4, sound: true });
  t.deepEqual(drive('{"smart_status":{"passed":false}}'),
    { sort: 'drive', wornPercent: undefined, sound: false });
  t.throws(() => drive('Smartctl open device failed'), { instanceOf: FactError });
});

test('speeds follow from nanoseconds; a part that never ended counts as nothing', (t) => {
  const speed = (text: string) => facts.speed.parse(text, 0);
  t.deepEqual(speed('read 1000000000\nwrite 2000000000'),
    { readBytesPerS: readBytes, writeBytesPerS: writtenBytes / 2 });
  t.deepEqual(speed('read slow\nwrite slow'), { readBytesPerS: 0, writeBytesPerS: 0 });
  t.is(speed('read 1000000000'), undefined);
});

test('the root file system’s own count is told apart from none', (t) => {
  t.deepEqual(facts.root.parse('rw,relatime\n2', 0), { writable: true, errors: 2 });
  t.deepEqual(facts.root.parse('ro,rw=x\nnone', 0), { writable: false, errors: undefined });
});

// As Linux 6.12 prints them, from proc(5)'s own columns.
const head = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid';
const row = (at: number, local: string, state: string, remote = '00000000:0000') =>
  `   ${at}: ${local} ${remote} ${state} 00000000:00000000 00:00000000 00000000     0        0 1 1`;

test('only what listens for others counts as listening', (t) => {
  const v6 = (tail: string) => `${'0'.repeat(16)}${tail}`;
  const table = [
    head,
    row(0, '00000000:0016', '0A'),
    row(1, '0100007F:1F41', '0A'), // 127.0.0.1:8001
    row(2, '0200A8C0:1F4A', '0A'), // 192.168.0.2:8010
    row(3, '0200A8C0:0050', '01', '0100A8C0:D431'), // a connection, not a listener
    head,
    row(0, `${v6('0'.repeat(16))}:01BB`, '0A', `${'0'.repeat(32)}:0000`),
    row(1, `${v6('0000000001000000')}:0277`, '0A', `${'0'.repeat(32)}:0000`), // ::1
    row(2, `${v6('FFFF00000100007F')}:0278`, '0A', `${'0'.repeat(32)}:0000`), // ::ffff:127.0.0.1
  ].join('\n');
  t.deepEqual(listeningPorts(table), [22, 443, 8010]);
});

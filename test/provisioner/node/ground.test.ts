import test from 'ava';

import { KitError } from '../../../provisioner/errors.ts';
import { ground, refuseGround, type Ground } from '../../../provisioner/node/ground.ts';

const answer = (mounts: string[], room = 'room /etc 1000000 4096 5000 9000'): string =>
  ['1764150000', room, ...mounts].join('\n');

const all = ['/etc', '/usr/local', '/var/lib', '/var/backups'];

/** proc_pid_mounts(5) → what of it takes no writes. */
const mounts: [about: string, mounts: string[], readOnly: string[]][] = [
  ['an ordinary root', ['/dev/vda1 / ext4 rw,relatime 0 0'], []],
  [
    'a read-only root',
    ['/dev/vda1 / ext4 ro,relatime 0 0', 'tmpfs /run tmpfs rw 0 0'],
    all,
  ],
  ['a read-only /usr', ['/dev/a / ext4 rw 0 0', '/dev/b /usr ext4 ro 0 0'], ['/usr/local']],
  ['a /var of its own', ['/dev/a / ext4 ro 0 0', '/dev/b /var ext4 rw 0 0'], ['/etc', '/usr/local']],
  ['what is mounted over it', ['/dev/a / ext4 ro 0 0', 'overlay / overlay rw 0 0'], []],
  ['a name that only begins alike', ['/dev/a / ext4 rw 0 0', '/dev/b /var/lib2 ext4 ro 0 0'], []],
  ['a root that met an error', ['/dev/a / ext4 rw,emergency_ro 0 0'], all],
  ['a root that was shut down', ['/dev/a / ext4 rw,shutdown 0 0'], all],
  ['an option that only begins alike', ['/dev/a / ext4 rw,errors=remount-ro 0 0'], []],
];

for (const [about, lines, readOnly] of mounts) {
  test(`mounts: ${about}`, (t) => {
    t.deepEqual(ground.parse(answer(lines), 0).readOnly, readOnly);
  });
}

test('room, and file systems that count no inodes', (t) => {
  t.deepEqual(ground.parse(answer([]), 0).rooms, [
    { path: '/etc', freeBytes: 4_096_000_000, freeInodes: 5000 },
  ]);
  const [room] = ground.parse(answer([], 'room /etc 10 4096 0 0'), 0).rooms;
  t.deepEqual(room, { path: '/etc', freeBytes: 40_960 });
});

test('an answer without a time or without room is none', (t) => {
  t.throws(() => ground.parse('', 0), { message: /the time/ });
  t.throws(() => ground.parse('1764150000\n/dev/a / ext4 rw 0 0', 0), { message: /the room/ });
});

const sound: Ground = { clockS: 1_764_150_000, readOnly: [], rooms: [{ path: '/etc', freeBytes: 1e9 }] };
const soundMs = sound.clockS * 1000;

/** Seconds that the node is off, those that its answer took → whether it is refused. */
const clocks: [offS: number, tookS: number, refused: boolean][] = [
  [0, 0, false], [599, 0, false], [-599, 0, false], [602, 0, true], [-602, 0, true],
  [-700, 180, true], [700, 180, true],
];
for (const [offS, tookS, refused] of clocks) {
  test(`a clock ${offS} s off, asked for ${tookS} s, is ${refused ? 'refused' : 'taken'}`, (t) => {
    // The answer was given at either end of the asking, whichever makes it look worse.
    const fromMs = soundMs - offS * 1000 - (offS > 0 ? tookS * 1000 : 0);
    const judge = () => refuseGround('alice', sound, { fromMs, untilMs: fromMs + tookS * 1000 });
    if (refused) t.like(t.throws(judge, { instanceOf: KitError }), { code: 'clock-wrong' });
    else t.notThrows(judge);
  });
}

test('a node that took long to answer is not thereby wrong', (t) => {
  const asked = { fromMs: soundMs - 170_000, untilMs: soundMs + 5000 };
  t.notThrows(() => refuseGround('alice', sound, asked));
});

test('a file system without inodes to count is not full of them', (t) => {
  const asked = { fromMs: soundMs, untilMs: soundMs };
  t.notThrows(() => refuseGround('alice', sound, asked));
  const full: Ground = { ...sound, rooms: [{ path: '/etc', freeBytes: 1e9, freeInodes: 3 }] };
  t.like(t.throws(() => refuseGround('alice', full, asked), { instanceOf: KitError }), {
    ...{ code: 'disk-full', got: '954 MiB, 3 inodes free in /etc' },
  });
});

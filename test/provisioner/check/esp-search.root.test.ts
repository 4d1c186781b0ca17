// The search for secrets, run for real over a loop device that stands for the boot partition: it
// must find what is there in whatever place, name it, and tell a partition that it could not read.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, openSync, closeSync, rmSync, writeSync, fsyncSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import test from 'ava';

import { espSearch } from '../../../provisioner/check/esp-search.ts';
import { factScript, readFacts } from '../../../provisioner/node/fact.ts';
import { attachLoop } from '../../helpers/loop.ts';

const traces = [
  { name: 'host key', lines: ['AAAAprivate-1', 'BBBBprivate-2'] },
  { name: 'Wi-Fi passphrase', lines: ["passphrase=it's $(x) \\ `y`"] },
];
const sizeBytes = 8 * 1024 * 1024;

const dir = mkdtempSync(join(tmpdir(), 'esp-search-'));
const loop = attachLoop(join(dir, 'esp.img'), sizeBytes);
test.after.always(() => {
  loop.detach();
  rmSync(dir, { recursive: true });
});

/** What the node's shell answers, where `esp` is its drive's boot partition. */
function search(esp: string, type = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b'): string[] | undefined {
  const facts = { left: espSearch(traces) };
  const script = `findmnt() { echo /dev/root2; }
lsblk() {
  case $* in
    *PKNAME*) echo root ;;
    *) echo /dev/root; echo ${esp} ${type}; echo /dev/root2 b921b045-1df0-41c3-af44-4c6f280d3fae ;;
  esac
}
${factScript(facts, 'MARK')}`;
  const text = execFileSync('sh', ['-s'], { input: script, encoding: 'utf8' });
  return readFacts(facts, 'MARK', text).left;
}

function put(text: string, atBytes: number): void {
  const file = openSync(loop.path, 'r+');
  writeSync(file, text, atBytes);
  fsyncSync(file);
  closeSync(file);
}

const clear = (): void => put('\0'.repeat(200), 5_000_000);

test.serial('nothing is found where nothing is', (t) => {
  t.deepEqual(search(loop.path), []);
});

for (const [about, text, name] of [
  ['one line of the host key', 'xxBBBBprivate-2yy', 'host key'],
  ['a passphrase with all that a shell minds', `\n${traces[1].lines[0]}\n`, 'Wi-Fi passphrase'],
]) {
  test.serial(`${about} is found and named`, (t) => {
    put(text, 5_000_000);
    t.deepEqual(search(loop.path), [name]);
    clear();
    t.deepEqual(search(loop.path), []);
  });
}

test.serial('both are found at the very ends, also where the drive has an MBR', (t) => {
  put(traces[0].lines[0], 0);
  put(traces[1].lines[0], sizeBytes - traces[1].lines[0].length);
  t.deepEqual(search(loop.path, '0xc'), ['host key', 'Wi-Fi passphrase']);
  put('\0'.repeat(100), 0);
  put('\0'.repeat(100), sizeBytes - 100);
});

test.serial('a partition that is not there, or of another type, is not clean but unread', (t) => {
  t.is(search('/dev/nothing'), undefined);
  t.is(search(loop.path, '0x83'), undefined);
});

test.serial('secrets are in no argument: the script has them as lines of a here-document', (t) => {
  const { script } = espSearch(traces);
  for (const { lines } of traces) for (const line of lines) t.true(script.includes(`\n${line}\n`));
  t.throws(() => espSearch([{ name: 'empty', lines: [''] }]), { instanceOf: RangeError });
  t.throws(() => espSearch([{ name: 'none', lines: [] }]), { instanceOf: RangeError });
});

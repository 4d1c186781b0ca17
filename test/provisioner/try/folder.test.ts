import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { KitError } from '../../../provisioner/errors.ts';
import { openTrialFolder } from '../../../provisioner/try/folder.ts';

const folder = (): string => mkdtempSync(join(tmpdir(), 'trial-'));
const state = { format: 1 as const, mac: '52:54:00:00:00:01', latestTrialMs: 7 };

test('what one run leaves, the next one finds', async (t) => {
  const dir = folder();
  const first = await openTrialFolder(dir);
  t.is(first.read(), undefined);
  await first.write(state);
  first.release();
  const second = await openTrialFolder(dir);
  t.deepEqual(second.read(), state);
  second.release();
});

test('the lock of a journey that was killed is free at once', async (t) => {
  const dir = folder();
  const module = new URL('../../../provisioner/try/folder.ts', import.meta.url);
  const script = `const { openTrialFolder } = await import(${JSON.stringify(module)});
    await openTrialFolder(${JSON.stringify(dir)}); console.log('held'); setInterval(() => {}, 1e6);`;
  const holder = spawn(process.execPath, ['--input-type=module', '-e', script]);
  await once(holder.stdout, 'data');
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  const mine = await openTrialFolder(dir);
  mine.release();
  t.pass();
});

test('a state of another format is refused', async (t) => {
  const dir = folder();
  const mine = await openTrialFolder(dir);
  writeFileSync(join(dir, 'state.json'), '{"format":2}');
  const error = t.throws(() => mine.read(), { instanceOf: KitError });
  t.is(error.code, 'trial-newer');
  mine.release();
});

test('a folder that cannot hold a journey is not called busy', async (t) => {
  const dir = folder();
  writeFileSync(join(dir, 'lock.db'), 'no database at all, but long enough to be read as one');
  const error = await t.throwsAsync(openTrialFolder(dir), { instanceOf: KitError });
  t.is(error.code, 'trial-unusable');
  t.deepEqual(Object.keys(error.toJSON()), ['code', 'message', 'expected', 'got', 'hint']);
});

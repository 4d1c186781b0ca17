import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const HOST = fileURLToPath(new URL('../../../provisioner/virtual/vm-host.ts', import.meta.url));

/** A bench that starts a machine, tells its pid once it runs, and stays. */
const BENCH = `
  const { startVm } = await import(${JSON.stringify(HOST)});
  const clock = { startMs: 0, realStartMs: Date.now(), rate: 1 };
  const options = { deviceId: '0011223344556677', clock, nowMs: 0, flash: new Uint8Array() };
  const events = {
    exchange() {
      console.log(vm.pid);
      return { frames: new Uint8Array(), dueMs: 1e12 };
    },
  };
  for (const name of ['console', 'flash', 'panic', 'tap', 'failed']) events[name] = () => {};
  const vm = startVm(options, events);
  setInterval(() => {}, 1000);
`;

test('a machine that takes nothing in any more ends with its bench', async (t) => {
  const words = ['--input-type=module', '--eval', BENCH];
  const bench = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(createInterface({ input: bench.stdout }), 'line');
  const pid = Number(line);
  t.true(pid > 0);
  process.kill(pid, 'SIGSTOP');
  bench.kill('SIGKILL');
  await once(bench, 'close');
  await t.notThrowsAsync(gone(pid));
});

/** Resolves once no such process is left; a zombie that nobody waits for counts as none. */
async function gone(pid: number): Promise<void> {
  for (;;) {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => ') Z');
    if (/\) [ZX]/.test(stat)) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

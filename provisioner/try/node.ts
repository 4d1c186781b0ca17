// The trial's node: boots the kit's drive in the trial home, keeps an eye on the power that its
// processors would draw, and has `kit configure` bring it to its desired state, twice.

import { KitError } from '../errors.ts';
import { NODE_ADDRESS, startHome, TAP, type Home } from '../virtual/home.ts';
import { powerOn, type Machine } from '../virtual/machine.ts';
import { createLoad, type Load } from './load.ts';
import { BOOT_LIMIT_MS, DOMAIN, KIT, LEDGER_DOMAIN, PEER_DOMAIN, type Trial } from './trial.ts';
import { until } from './wait.ts';

const MEMORY_MIB = 1024;
const CPUS = 2;
const SHUTDOWN_LIMIT_MS = 90_000;
const LOAD_SAMPLE_MS = 500;

export interface TrialNode {
  home: Home;
  load: Load;
  accelerator(): Machine['accelerator'];
  /** Pulls the node's plug, and boots it again. */
  pullPlug(say: (text: string) => void): Promise<void>;
}

/** Lays the home, powers the node on and waits until its SSH server greets. */
export async function bootNode(trial: Trial, say: (text: string) => void): Promise<TrialNode> {
  const { folder } = trial;
  const home = await startHome({
    dir: folder.home,
    node: { mac: trial.state().mac, name: KIT, domain: DOMAIN },
    ...{ peerDomain: PEER_DOMAIN, ledgerDomain: LEDGER_DOMAIN },
    ledgerSocket: folder.ledgerSocket,
  });
  trial.onStop(() => home.stop());
  const load = createLoad(CPUS);
  let machine = await boot(trial, home, say);
  load.plugIn();
  const watch = setInterval(() => {
    const cpuSeconds = machine.cpuSeconds();
    if (cpuSeconds !== undefined) load.sample(cpuSeconds, Date.now());
  }, LOAD_SAMPLE_MS);
  trial.onStop(async () => {
    clearInterval(watch);
    await machine.shutDown(trial.signal.aborted ? 0 : SHUTDOWN_LIMIT_MS);
  });
  return {
    ...{ home, load },
    accelerator: () => machine.accelerator,
    async pullPlug(sayMore) {
      sayMore("pulling the node's plug");
      await machine.pullPlug();
      load.unplug();
      load.plugIn();
      machine = await boot(trial, home, sayMore);
    },
  };
}

async function boot(trial: Trial, home: Home, say: (text: string) => void): Promise<Machine> {
  const { folder } = trial;
  say('powering on');
  const machine = await powerOn({
    ...{ drive: folder.drive, mac: trial.state().mac, cable: { tap: TAP }, dir: folder.machine },
    ...{ memoryMiB: MEMORY_MIB, cpus: CPUS, enter: home.enter, kvmWorks: trial.state().kvmWorks },
  });
  await trial.remember({ kvmWorks: machine.accelerator === 'kvm' });
  let lastWords: string | undefined;
  machine.ended.then((words) => (lastWords = words));
  await until({
    what: 'the node to greet by SSH',
    withinMs: BOOT_LIMIT_MS,
    everyMs: 1000,
    signal: trial.signal,
    instead: () => `its last words: ${machine.serial().trimEnd().slice(-600)}`,
    async check() {
      if (lastWords !== undefined) throw machineEnded(lastWords);
      say(`booting (${machine.accelerator}): ${lastLine(machine.serial())}`);
      const greeting = await home.greeting(NODE_ADDRESS, 22, 5000);
      return greeting?.startsWith('SSH-2.0') || undefined;
    },
  });
  return machine;
}

/** Runs `kit configure` as a volunteer in the home would; the second time nothing may be left. */
export async function configureTwice(
  trial: Trial,
  node: TrialNode,
  say: (text: string) => void,
): Promise<{ steps: number; secondMs: number }> {
  const configure = async () => {
    const words = ['configure', KIT, '--wait', String(BOOT_LIMIT_MS / 1000)];
    return (await trial.kit(words, { enter: node.home.enter, onProgress: say })).result[0];
  };
  const first = await configure();
  say('once more: the plan must be empty');
  const second = await configure();
  if (second.steps.length === 0) return { steps: first.steps.length, secondMs: second.elapsed_ms };
  throw new KitError({
    code: 'plan-not-empty',
    message: 'A configured node was changed by configuring it again',
    expected: 'an empty plan',
    got: second.steps.map((step: { name: string }) => step.name).join(', '),
  });
}

function machineEnded(words: string): KitError {
  return new KitError({
    code: 'machine-ended',
    message: 'QEMU ended while the node was booting',
    got: words.trim() || 'no words',
  });
}

/** The newest line on the serial console, without its control sequences. */
function lastLine(serial: string): string {
  const lines = serial
    .slice(-2000)
    .replaceAll(/\x1b\[[0-9;?]*[A-Za-z]|[^\x20-\x7e\n]/g, '')
    .split('\n');
  return lines.filter((line) => line.trim() !== '').at(-1)?.trim().slice(0, 70) ?? '…';
}

// `kit make`: the command line of this folder. Joins the steps, each of which has a command of its
// own, into all that is left to do for one kit.

import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Command, Option } from 'commander';
import { atWorkbench, type Workbench, type WorkbenchOptions } from '../bench/workbench.ts';
import type { Kit } from '../campaign/campaign.ts';
import { wifiPassphrase } from '../campaign/wifi.ts';
import { checkAtBench, unfit } from '../check/command.ts';
import { agreementOf, flashAtBench, imagePath, sizeOption } from '../drive/command.ts';
import type { FlashOptions } from '../drive/command.ts';
import { refuseUnasked } from '../drive/confirm.ts';
import { listBlockDevices } from '../drive/lsblk.ts';
import { manifestPath } from '../drive/manifest.ts';
import { judgeTarget } from '../drive/target.ts';
import { KitError } from '../errors.ts';
import { buildImage } from '../image/build.ts';
import { makeLabel } from '../label/label.ts';
import { pairAtBench } from '../meter/command.ts';
import { waitOption } from '../node/command.ts';
import { configureKits } from '../node/configure-kits.ts';
import { createOutput, type Output } from '../terminal.ts';
import { flashedAlready, makeKit, STEP_NAMES, type MakeStep, type StepName } from './make.ts';

interface MakeOptions extends WorkbenchOptions, FlashOptions {
  drive?: string;
  wait: number;
  until: StepName;
}

export function commands(): Command[] {
  return [makeCommand()];
}

export function makeCommand(): Command {
  return new Command('make')
    .description('do all that is left to do for one kit, in order; goes on where it was cut off')
    .argument('<kit>', 'name of a kit in the campaign')
    .option('--drive <path>', "the kit's drive, while it is not written yet")
    .option('--images <dir>', "where the campaign's image lies (default: built, beside it)")
    .addOption(sizeOption())
    .option('--yes', 'erase without asking')
    .addOption(waitOption())
    .addOption(new Option('--until <step>', 'stop after it').choices(STEP_NAMES).default('label'))
    .action(async function (this: Command, name: string) {
      const options = this.optsWithGlobals<MakeOptions>();
      const output = createOutput(options);
      await atWorkbench({ ...options, kits: [name] }, async (bench, [kit]) => {
        const made = await makeKit(stepsOf(bench, kit, { options, output }), options.until, output);
        const human = made.map(({ name: step, status }) => `${step}: ${status}`).join('\n');
        output.result({ kit: kit.name, steps: made }, human);
      });
    });
}

interface Means {
  options: MakeOptions;
  output: Output;
}

function stepsOf(bench: Workbench, kit: Kit, means: Means): MakeStep[] {
  const { record, campaign } = bench;
  const never = async (): Promise<undefined> => undefined;
  const { output } = means;
  return [
    imageStep(bench, means),
    flashStep(bench, kit, means),
    {
      name: 'configure',
      isDone: never, // what a node is like, only the node knows
      async run() {
        const patienceMs = means.options.wait * 1000;
        const [result] = await configureKits([kit], bench, output, { patienceMs });
        if (result.error !== undefined) throw result.error;
      },
    },
    {
      name: 'pair',
      isDone: async () => (record.lastDone(kit.name, 'pair') ? 'done' : undefined),
      run: async () => void (await pairAtBench(bench, kit, { options: {}, output })),
    },
    {
      name: 'check',
      isDone: never,
      async run() {
        const { fit, checks } = await checkAtBench(bench, kit, { asked: {}, output });
        if (!fit) throw unfit(kit.name, checks);
      },
    },
    { name: 'label', isDone: never, run: async () => void (await makeLabel(kit, bench, campaign.dir)) },
  ];
}

function imageStep({ campaign, identity }: Workbench, { options, output }: Means): MakeStep {
  const image = imagePath(campaign, options);
  return {
    name: 'image',
    // The manifest is the last thing that a build leaves.
    isDone: async () => (existsSync(manifestPath(image)) ? `there: ${image}` : undefined),
    async run() {
      const outDir = dirname(resolve(image));
      const job = { name: campaign.image, arch: campaign.arch, outDir };
      const signer = async () => identity;
      await buildImage({ ...job, signer }, (event) => output.event(event));
    },
  };
}

function flashStep(bench: Workbench, kit: Kit, { options, output }: Means): MakeStep {
  const drive = options.drive === undefined ? undefined : resolve(options.drive);
  return {
    name: 'flash',
    isDone: async () => flashedAlready(bench, kit, { drive, isThere: existsSync }),
    async preflight() {
      if (drive === undefined) throw noDrive(kit);
      const { record, secrets } = bench;
      wifiPassphrase(kit, await secrets.kit(kit));
      const means = { record, listBlockDevices, fileSizeBytes: options.size };
      const { plan } = await judgeTarget({ kit, drive }, means);
      refuseUnasked([plan], agreementOf(options));
    },
    async run() {
      if (drive === undefined) throw noDrive(kit);
      const { signal } = new AbortController();
      await flashAtBench(bench, [{ kit, drive }], { options, output, signal });
      const text = `${kit.name}: start its node from ${drive}, on this network`;
      output.event({ type: 'make-step', step: 'flash', text });
    },
  };
}

function noDrive(kit: Kit): KitError {
  return new KitError({
    code: 'no-drive',
    message: `${kit.name} has no drive yet`,
    expected: '--drive PATH',
    got: 'none',
    hint: '`kit drives` lists those that may be written.',
    exitCode: 2,
  });
}

// `kit try` and `kit clean`: the command line of this folder.

import { existsSync, lstatSync, realpathSync, rmSync } from 'node:fs';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { cacheFolder } from '../cache-folder.js';
import { KitError, describeError } from '../errors.ts';
import { createOutput, type Output, type OutputOptions } from '../terminal.ts';
import { NODE_ADDRESS } from '../virtual/home.ts';
import { showSteps, StepFailed } from './display.ts';
import { openTrialFolder, type TrialFolder } from './folder.ts';
import { journey } from './journey.ts';
import { describe, summarise } from './summary.ts';
import { openTrial } from './trial.ts';

const DEFAULT_DIR = 'trial';

export function commands(): Command[] {
  return [tryCommand(), cleanCommand()];
}

export function tryCommand(): Command {
  return new Command('try')
    .description('make a kit with no hardware, break things, and prove that nothing was lost')
    .option('--once', 'end when the journey is proven, instead of keeping the page open')
    .option('--dir <dir>', 'where everything is made; a journey cut off goes on there', DEFAULT_DIR)
    .action(async function (this: Command) {
      const options = this.optsWithGlobals<OutputOptions & { once?: boolean; dir: string }>();
      const output = createOutput(options);
      const folder = await openTrialFolder(options.dir);
      try {
        await travel(folder, { ...options, output });
      } finally {
        folder.release();
      }
    });
}

interface TravelOptions extends OutputOptions {
  once?: boolean;
  output: Output;
}

async function travel(folder: TrialFolder, options: TravelOptions): Promise<void> {
  const { output } = options;
  const stop = new AbortController();
  const onSignal = (): void => stop.abort(interrupted());
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  const trial = await openTrial(folder, stop.signal, output);
  try {
    const { steps, travelled } = journey(trial);
    const mode = options.json || options.jsonEvents ? 'programs' : 'people';
    const times = await showSteps(steps, mode, output);
    const facts = { steps: times, address: NODE_ADDRESS, rate: trial.clock.rate };
    const summary = summarise(travelled, facts);
    await writeFile(folder.summary, `${JSON.stringify(summary, undefined, 2)}\n`);
    const address = `${summary.ledger.url}/node/${summary.meter.id}`;
    output.result(summary, describe(summary, options.once ? undefined : address));
    if (options.once) return;
    output.say('The page stays open; Ctrl-C ends everything.');
    await new Promise<void>((done) => stop.signal.addEventListener('abort', () => done()));
  } catch (error) {
    throw stop.signal.aborted ? interrupted() : asFailure(error, folder);
  } finally {
    await trial.stop();
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

function interrupted(): KitError {
  return new KitError({
    code: 'interrupted',
    message: 'The journey was interrupted',
    expected: 'to be let finish',
    got: 'a stop; all that it started is ended',
    hint: 'The same command goes on where it was.',
  });
}

/** Names the step that did not hold before the reason. */
function asFailure(error: unknown, folder: TrialFolder): unknown {
  if (!(error instanceof StepFailed)) return error;
  const cause = error.cause;
  const parts = cause instanceof KitError ? cause.toJSON() : undefined;
  return new KitError({
    code: parts?.['code'] ?? 'step-failed',
    message: `Step "${error.step}" did not hold: ${parts?.['message'] ?? describeError(cause)}`,
    expected: parts?.['expected'],
    got: parts?.['got'],
    hint: parts?.['hint'] ?? `Logs stand in ${folder.dir}; the same command tries again.`,
    cause,
  });
}

export function cleanCommand(): Command {
  return new Command('clean')
    .description('show what journeys and builds left behind, and remove it')
    .option('--dir <dir>', "a journey's folder", DEFAULT_DIR)
    .option('--yes', 'remove it')
    .action(async function (this: Command) {
      const options = this.optsWithGlobals<OutputOptions & { dir: string; yes?: boolean }>();
      const output = createOutput(options);
      const found = [];
      const trial = trialAt(options.dir);
      for (const path of [trial, realPath(cacheFolder())]) {
        if (path !== undefined) found.push({ path, sizeBytes: await size(path) });
      }
      // A journey that is under way keeps its folder: the lock refuses.
      if (options.yes && trial !== undefined) (await openTrialFolder(trial)).release();
      if (options.yes) for (const { path } of found) rmSync(path, { recursive: true });
      const lines = found.map(({ path, sizeBytes }) => `${mebibytes(sizeBytes)}  ${path}`);
      const end = options.yes ? 'Removed.' : 'Nothing is removed without --yes.';
      const human = found.length === 0 ? 'Nothing to remove.' : [...lines, end].join('\n');
      output.result({ found, removed: options.yes === true }, human);
    });
}

/** The folder, if a journey's: nothing else is ever removed. @throws KitError `not-a-trial` */
function trialAt(dir: string): string | undefined {
  const path = realPath(dir);
  if (path === undefined) return undefined;
  const marks = ['lock.db', 'ledger-home'];
  if (marks.every((mark) => existsSync(join(path, mark)))) return path;
  throw new KitError({
    code: 'not-a-trial',
    message: 'No journey was made in that folder, so it is left alone',
    expected: `a folder with ${marks.join(' and ')}`,
    got: path,
    hint: 'Name the folder that the journey was given with --dir.',
    exitCode: 2,
  });
}

/** Where a path leads, since removing a link would leave all behind it. */
function realPath(path: string): string | undefined {
  return existsSync(path) ? realpathSync(path) : undefined;
}

/** Follows no link (a server's tree has some to /run); what goes meanwhile counts nothing. */
async function size(dir: string): Promise<number> {
  let sizeBytes = 0;
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) sizeBytes += await size(path);
    // Blocks, not lengths: images are sparse.
    else sizeBytes += 512 * (lstatSync(path, { throwIfNoEntry: false })?.blocks ?? 0);
  }
  return sizeBytes;
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`.padStart(10);
}

// Times whole processes as a user would run them, from start to end, with the peak memory that the
// kernel tells of them. Repetitions of the things compared are interleaved, because the machine has
// other work: a slow minute meets all of them. Compares; never quotes a time alone.

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A program and its arguments. */
export type Command = [program: string, ...args: string[]];

export interface Sample {
  /** From the start of the first process to the end of the last. */
  seconds: number;
  /** The largest resident set of any one process. */
  peakBytes: number;
  /** What the processes wrote to their standard output, in the order of the commands. */
  outputs: string[];
}

/**
 * Runs the commands at once and waits for all.
 * @throws Error with the words of the first that failed
 */
export async function runAll(commands: Command[]): Promise<Sample> {
  const folder = mkdtempSync(join(tmpdir(), 'kit-speed-'));
  try {
    const startedMs = performance.now();
    const outputs = await Promise.all(
      commands.map((command, at) => runTimed(command, join(folder, String(at)))),
    );
    const seconds = (performance.now() - startedMs) / 1000;
    const peaks = commands.map((_, at) => Number(readFileSync(join(folder, String(at)), 'utf8')));
    return { seconds, peakBytes: Math.max(...peaks) * 1024, outputs };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** GNU time's %M is the peak in KiB, of the process or of the largest that it waited for. */
function runTimed([program, ...args]: Command, peakFile: string): Promise<string> {
  const words = ['--quiet', '-f', '%M', '-o', peakFile, program, ...args];
  // util-linux and e2fsprogs live in sbin, which an ordinary PATH lacks.
  const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin`, LC_ALL: 'C.UTF-8' };
  const child = spawn('/usr/bin/time', words, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, told] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (out += chunk));
  child.stderr.on('data', (chunk: Buffer) => (told += chunk));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) return resolve(out);
      const line = [program, ...args].join(' ');
      reject(new Error(`status ${code} of ${line}\n${told.slice(-2000)}${out.slice(-2000)}`));
    });
  });
}

export interface Contender {
  name: string;
  run(): Promise<Sample>;
}

export interface Timed {
  name: string;
  minSeconds: number;
  medianSeconds: number;
  peakBytes: number;
  samples: Sample[];
}

/** Each contender `repeats` times, turn by turn. `tell` hears of each as it is done. */
export async function compare(
  contenders: Contender[],
  repeats: number,
  tell: (text: string) => void,
): Promise<Timed[]> {
  const samples = contenders.map((): Sample[] => []);
  for (let round = 1; round <= repeats; round++) {
    for (const [at, { name, run }] of contenders.entries()) {
      const sample = await run();
      samples[at].push(sample);
      tell(`  ${name}, ${round} of ${repeats}: ${sample.seconds.toFixed(2)} s`);
    }
  }
  return contenders.map(({ name }, at) => summarise(name, samples[at]));
}

export function summarise(name: string, samples: Sample[]): Timed {
  const seconds = samples.map((sample) => sample.seconds).sort((a, b) => a - b);
  const half = Math.floor(seconds.length / 2);
  const even = seconds.length % 2 === 0;
  return {
    name,
    minSeconds: seconds[0],
    medianSeconds: even ? (seconds[half - 1] + seconds[half]) / 2 : seconds[half],
    peakBytes: Math.max(...samples.map(({ peakBytes }) => peakBytes)),
    samples,
  };
}

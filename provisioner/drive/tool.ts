// Runs one of the system's tools (lsblk, mtools) and gives back what it printed. Secrets may go in
// by an open file, never by an argument; no shell is involved.

import { spawn } from 'node:child_process';

import { KitError } from '../errors.ts';

export interface ToolOptions {
  /** Handed on as descriptors 3, 4, …: the tool reaches the first as /proc/self/fd/3. */
  fds?: readonly number[];
}

/** The Debian package of each tool, for the hint. */
const packages: Record<string, string> = {
  lsblk: 'util-linux',
  mcopy: 'mtools',
  mmd: 'mtools',
};

/** @throws KitError `tool-missing`, `tool-failed` */
export async function runTool(
  name: string,
  args: string[],
  options: ToolOptions = {},
): Promise<Buffer> {
  const child = spawn(name, args, {
    stdio: ['ignore', 'pipe', 'pipe', ...(options.fds ?? [])],
    env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C.UTF-8', TZ: 'UTC' },
  });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout!.on('data', (bytes: Buffer) => out.push(bytes));
  child.stderr!.on('data', (bytes: Buffer) => err.push(bytes));
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.on('error', (cause) => reject(missing(name, cause)));
  child.on('close', resolve);
  const exit = await promise;
  if (exit === 0) return Buffer.concat(out);
  throw new KitError({
    code: 'tool-failed',
    message: `${name} failed`,
    expected: 'exit code 0',
    got: `exit code ${exit}: ${Buffer.concat(err).toString('utf8').trim().slice(0, 1000)}`,
    hint: `See that it works: ${name} --version.`,
  });
}

function missing(name: string, cause: Error): KitError {
  return new KitError({
    code: 'tool-missing',
    message: `${name} could not be started`,
    expected: `${name} of Debian's ${packages[name] ?? name}`,
    got: cause.message,
    hint: `apt-get install ${packages[name] ?? name}`,
    cause,
  });
}

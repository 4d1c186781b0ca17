// A plan as one shell script for the node's standard input: files and secrets travel in quoted
// here-documents, so that nothing secret is ever an argument. The script tells how far it came:
//
//   \nMARK start N\n … the step's output … \nMARK end N EXITCODE\n     for each step, from 0
//   \nMARK done\n                                                      after the last
//
// It stops at the first step that fails. This file owns that framing; it runs nothing.

import { KitError } from '../errors.ts';
import { textOf, type FileWrite, type Step } from './step.ts';

/** One configuration at a time on a node: a second waits, then gives up with this exit code. */
export const busyExitCode = 75;
const lockWaitS = 60;

/**
 * Everything in functions that are called in the last line: if the connection drops while the
 * script travels, the shell sees a syntax error and runs nothing of it.
 */
export function planScript(steps: Step[], mark: string): string {
  return [
    prelude,
    'apply() {',
    ...steps.map((step, at) => stepScript(step, at, mark)),
    `sync\nprintf '\\n${mark} done\\n'`,
    '}',
    'lock && apply',
    '',
  ].join('\n');
}

/** What effects leave (operation/effect.ts). */
export const stampFolder = '/var/lib/commons-kit/applied';

/**
 * `put PATH MODE USER GROUP` replaces a file whole with what it reads: `install` makes the new one
 * unreadable to others until its mode is set, and rename(2) puts it in place. Stamps that name the
 * file go first: cut off in between, what depends on it is done again.
 */
const prelude = `export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export DEBIAN_FRONTEND=noninteractive
umask 022
unstamp() {
  for stamp in ${stampFolder}/*; do
    [ ! -e "$stamp" ] || while IFS= read -r line; do
      [ "$line" != "$1" ] || { rm -f "$stamp" && break; }
    done <"$stamp"
  done
}
put() {
  unstamp "$1"
  install -D -m "$2" -o "$3" -g "$4" /dev/stdin "$1.kit-new" && mv -fT "$1.kit-new" "$1"
}
lock() {
  exec 9>/run/lock/commons-kit || exit 1
  flock -w ${lockWaitS} 9 || exit ${busyExitCode}
}`;

function stepScript(step: Step, at: number, mark: string): string {
  const body = [...(step.files ?? []).map((file) => putScript(file, mark))];
  if (step.command !== undefined) body.push(commandScript(step.command, step.input, mark));
  return [
    `printf '\\n${mark} start ${at}\\n'`,
    '(',
    'set -eu',
    ...body,
    ') 2>&1',
    'code=$?',
    `printf '\\n${mark} end ${at} %d\\n' $code`,
    '[ $code = 0 ] || exit 1',
  ].join('\n');
}

function putScript(file: FileWrite, mark: string): string {
  const [user, group] = file.owner.split(':');
  const target = [file.path, file.mode, user, group].map(quote).join(' ');
  return `put ${target} ${hereDocument(textOf(file.content), mark)}`;
}

function commandScript(command: string, input: Step['input'], mark: string): string {
  if (input === undefined) return `{\n${command}\n} </dev/null`;
  return `{\n${command}\n} ${hereDocument(input.reveal(), mark)}`;
}

function hereDocument(text: string, mark: string): string {
  if (text.includes('\0') || text.split('\n').includes(mark)) {
    throw new TypeError('here-document: expected text without NUL and without the mark');
  }
  return `<<'${mark}'\n${text.endsWith('\n') ? text : `${text}\n`}${mark}`;
}

/** A word that the shell takes literally. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

export type Progress =
  | { type: 'start'; at: number }
  | { type: 'end'; at: number; exitCode: number; output: string }
  | { type: 'done' };

/** What a step says is kept up to this: the last of it says most about a failure. */
const maxOutputBytes = 16_384;

/** Reads the script's progress from its output as it comes, in pieces of any size. */
export function progressReader(mark: string, report: (progress: Progress) => void) {
  let pending = '';
  let output = '';
  const take = (line: string): void => {
    const frame = line.startsWith(`${mark} `) ? line.slice(mark.length + 1).split(' ') : undefined;
    if (frame === undefined) {
      output = `${output}${line}\n`.slice(-maxOutputBytes);
      return;
    }
    const [type, at, exitCode] = frame;
    if (type === 'done') report({ type });
    else if (type === 'start') report({ type, at: Number(at) });
    else if (type === 'end') {
      report({ type, at: Number(at), exitCode: Number(exitCode), output: output.trim() });
    } else throw garbled(line);
    output = '';
  };
  return (piece: string): void => {
    const lines = (pending + piece).split('\n');
    pending = lines.pop()!.slice(-maxOutputBytes);
    lines.forEach(take);
  };
}

function garbled(line: string): KitError {
  return new KitError({
    code: 'progress-garbled',
    message: 'The node reported its progress in a way that makes no sense',
    expected: 'start, end or done',
    got: line.slice(0, 100),
    hint: 'Does a login script of root’s print something? Run the command again once it does not.',
  });
}

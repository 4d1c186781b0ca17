// Files that are wholly ours: their digest, mode and owner as one fact, and the step that replaces
// those that differ. Pure.

import { type Fact, FactError } from '../fact.ts';
import { quote } from '../script.ts';
import { digestOf, textOf, type FileWrite, type Step } from '../step.ts';

export interface FileState {
  /** SHA-256, hex. */
  digest: string;
  mode: string;
  owner: string;
}

export type FileStates = Record<string, FileState>;

/** The state of those of `paths` that exist; two commands, however many files. */
export function fileStates(paths: string[]): Fact<FileStates> {
  const words = paths.map(quote).join(' ');
  return {
    script: `sha256sum -- ${words}\nstat -L -c '%a %U:%G %n' -- ${words}\ntrue`,
    parse(text) {
      const states: FileStates = {};
      for (const line of text.split('\n').filter((full) => full !== '')) {
        const digest = /^([0-9a-f]{64}) [ *](\/.*)$/.exec(line);
        const stat = /^([0-7]{3,4}) (\S+:\S+) (\/.*)$/.exec(line);
        if (digest) states[digest[2]] = { digest: digest[1], mode: '', owner: '' };
        else if (!stat) throw new FactError('lines of sha256sum and stat', line);
        else if (states[stat[3]]) [, states[stat[3]].mode, states[stat[3]].owner] = stat;
      }
      return states;
    },
  };
}

/** One step that writes those of `files` that differ, or none. */
export function writeFiles(name: string, files: FileWrite[], states: FileStates): Step[] {
  for (const file of files) {
    if (!textOf(file.content).endsWith('\n')) throw new TypeError(`${file.path}: no line end`);
  }
  const differing = files.flatMap((file) => {
    const why = differs(file, states[file.path]);
    return why === undefined ? [] : [{ file, why: `${file.path} ${why}` }];
  });
  if (differing.length === 0) return [];
  return [
    {
      name,
      because: differing.map(({ why }) => why).join(', '),
      files: differing.map(({ file }) => file),
    },
  ];
}

/** In what way a file is not as it should be; undefined where it is. */
export function differs(file: FileWrite, state: FileState | undefined): string | undefined {
  if (state === undefined) return 'is missing';
  if (state.digest !== digestOf(file.content)) return 'differs';
  if (Number.parseInt(state.mode, 8) !== Number.parseInt(file.mode, 8)) {
    return `has mode ${state.mode}`;
  }
  return state.owner === file.owner ? undefined : `belongs to ${state.owner}`;
}

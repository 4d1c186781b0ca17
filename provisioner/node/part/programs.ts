// Programs that a kind's own steps need and its image brings: what is not there is found with all
// other facts, and refused before anything is done. Installs nothing. Pure.

import { KitError } from '../../errors.ts';
import type { Fact } from '../fact.ts';

/** Which of `programs` the node does not have. */
export function missingPrograms(programs: readonly string[]): Fact<string[]> {
  return {
    script: `for name in ${programs.join(' ')}; do
  command -v $name >/dev/null || echo $name
done`,
    parse: (text) => text.split('\n').filter((name) => name !== ''),
  };
}

/** @throws KitError `programs-missing` */
export function refuseMissing(
  missing: readonly string[],
  { node, image }: { node: string; image: string },
): void {
  if (missing.length === 0) return;
  throw new KitError({
    code: 'programs-missing',
    message: `${node} lacks programs that the image should have brought`,
    expected: `the \`${image}\` image`,
    got: `without ${missing.join(', ')}`,
    hint: 'Build the image again and flash the drive, or install Debian’s packages by hand.',
  });
}

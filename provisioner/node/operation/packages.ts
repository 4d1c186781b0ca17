// Debian's packages that a node's image need not bring: asked for and installed by name, from the
// mirror that the node itself upgrades from. Pure.

import { type Fact } from '../fact.ts';
import type { Step } from '../step.ts';

/** Those of `names` that are installed. */
export function installedPackages(names: string[]): Fact<string[]> {
  const query = `dpkg-query -W -f '\${db:Status-Status} \${Package}\\n' ${names.join(' ')}`;
  return {
    script: names.length === 0 ? 'true' : query,
    parse: (text) =>
      text.split('\n').flatMap((line) => /^installed (\S+)$/.exec(line)?.[1] ?? []),
  };
}

/** One step that installs those that are missing, or none; why apt fails, failure.ts reads. */
export function installPackages(names: string[], installed: string[]): Step[] {
  const missing = names.filter((name) => !installed.includes(name));
  if (missing.length === 0) return [];
  return [
    {
      name: `Install ${missing.join(', ')}`,
      because: 'the image does not bring it',
      // A run that was cut off may have left packages half configured.
      command: `dpkg --configure -a
apt-get update -q --error-on=any
apt-get install -q -y --no-install-recommends ${missing.join(' ')}`,
      timeoutS: 900,
    },
  ];
}

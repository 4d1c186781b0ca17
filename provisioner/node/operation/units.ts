// systemd's units: which are enabled and which run, asked with one command. Pure.

import { type Fact, FactError } from '../fact.ts';

export interface UnitState {
  /** Something that is started at boot wants it: a link on disk, whatever systemd has in memory. */
  enabled: boolean;
  /** `active`, `inactive`, `failed` … */
  active: string;
}

export type UnitStates = Record<string, UnitState>;

/**
 * A node that has just booted greets by SSH before all of it runs: units that systemd is about to
 * start are waited for, since a plan would start them once more.
 */
const pendingWaitS = 90;

export function unitStates(units: string[]): Fact<UnitStates> {
  const names = units.join(' ');
  return {
    script: `for unit in ${names}; do
  for link in /etc/systemd/system/*.wants/$unit; do
    [ -L "$link" ] && echo "enabled $unit"
  done
done
show() {
  shown=$(systemctl show --property=Id,ActiveState,Job -- ${names})
}
tries=0
while show && [ $tries -lt ${pendingWaitS / 2} ]; do
  case $shown in
    *Job=[0-9]*) sleep 2 ;;
    *) break ;;
  esac
  tries=$((tries + 1))
done
[ -n "$shown" ] && echo "$shown"`,
    parse(text, exitCode) {
      if (exitCode !== 0) throw new FactError('systemctl show to succeed', `exit ${exitCode}`);
      const enabled = new Set([...text.matchAll(/^enabled (\S+)$/gm)].map((match) => match[1]));
      const shown = [...text.matchAll(/^Id=(\S+)\nActiveState=(\S+)\nJob=\d*$/gm)];
      return Object.fromEntries(
        shown.map(([, unit, active]) => [unit, { enabled: enabled.has(unit), active }]),
      );
    },
  };
}

/** What keeps a unit from running now and after a reboot; undefined when nothing does. */
export function unitAmiss(unit: string, states: UnitStates): string | undefined {
  const { enabled, active } = states[unit] ?? { enabled: false, active: 'unknown' };
  if (active !== 'active') return `${unit} is ${active}`;
  return enabled ? undefined : `${unit} is not started at boot`;
}

/**
 * Makes a unit run at every boot, and now. Without `--no-reload` systemd would read all its units
 * again, which takes ten seconds on an emulated node and changes nothing that is wanted here.
 */
export function enableCommand(
  unit: string,
  verb: 'start' | 'restart' | 'reload-or-restart',
): string {
  return `systemctl --no-reload enable -q ${unit}\nsystemctl ${verb} ${unit}`;
}

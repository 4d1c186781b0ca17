// systemd's units: which are enabled and which run, asked in one command. Pure.

import { type Fact, FactError } from '../fact.ts';

export interface UnitState {
  /** `enabled`, `disabled`, `static`, or empty when there is no such unit. */
  enabled: string;
  /** `active`, `inactive`, `failed` … */
  active: string;
}

export type UnitStates = Record<string, UnitState>;

export function unitStates(units: string[]): Fact<UnitStates> {
  return {
    script: `systemctl show --property=Id,UnitFileState,ActiveState -- ${units.join(' ')}`,
    parse(text, exitCode) {
      if (exitCode !== 0) throw new FactError('systemctl show to succeed', `exit ${exitCode}`);
      const blocks = text.split('\n\n').map((block) => {
        const values = Object.fromEntries(block.split('\n').map((line) => line.split('=', 2)));
        return [values['Id'], { enabled: values['UnitFileState'], active: values['ActiveState'] }];
      });
      return Object.fromEntries(blocks) as UnitStates;
    },
  };
}

/** What keeps a unit from running now and after a reboot; undefined when nothing does. */
export function unitAmiss(unit: string, states: UnitStates): string | undefined {
  const { enabled = '', active = 'unknown' } = states[unit] ?? {};
  if (enabled !== 'enabled') return `${unit} is ${enabled || 'not there'}`;
  return active === 'active' ? undefined : `${unit} is ${active}`;
}

/**
 * Makes a unit run at every boot, and now. Enabling takes a second or more on an emulated node, since
 * systemd then reads all its units again: left out where it has nothing to change.
 */
export function enableCommand(unit: string, verb: 'start' | 'restart' | 'reload-or-restart'): string {
  return `systemctl is-enabled -q ${unit} || systemctl enable -q ${unit}\nsystemctl ${verb} ${unit}`;
}

// The time zone that the node's owner reads the clock in. Pure.

import type { Fact } from '../fact.ts';
import type { Step } from '../step.ts';

/** The target of /etc/localtime. */
export const localtime: Fact<string> = {
  script: 'readlink /etc/localtime',
  parse: (text) => text,
};

/** @param timezone as the tz database names it @param facts.localtime the target of the link */
export function timezoneSteps(timezone: string, facts: { localtime: string }): Step[] {
  const target = `/usr/share/zoneinfo/${timezone}`;
  if (facts.localtime.endsWith(target)) return [];
  return [
    {
      name: `Set the time zone to ${timezone}`,
      because: `it is ${facts.localtime.replace(/.*zoneinfo\//, '') || 'not set'}`,
      command: `[ -e ${target} ]\nln -sfn ${target} /etc/localtime`,
    },
  ];
}

// YunoHost's own diagnosis: run once by kit, twice a day by YunoHost; read, and put into words of
// what to do. Its status is 0 whatever it finds. Pure.

import { FactError, type Fact } from '../fact.ts';
import { effect, type Stamps } from '../operation/effect.ts';
import type { FileStates } from '../operation/files.ts';
import type { Step } from '../step.ts';
import { lastJson, refusalFailures, session } from './session.ts';

const cache = '/var/cache/yunohost/diagnosis';

export interface Complaint {
  /** YunoHost's category: ip, dnsrecords, ports, web, mail, services … */
  category: string;
  severity: 'error' | 'warning';
  /** YunoHost's words, without its HTML. */
  summary: string;
  advice: string;
  /** It may be so only where the node stands now: a bench has no public address. */
  ofThePlace: boolean;
}

const advices: Record<string, { advice: string; ofThePlace: boolean }> = {
  ip: { advice: 'Give the node a way to the internet.', ofThePlace: true },
  dnsrecords: {
    advice: 'Have the domain’s records set as `yunohost domain dns suggest` says.',
    ofThePlace: true,
  },
  ports: { advice: 'Have the home’s router pass 80 and 443 on to the node.', ofThePlace: true },
  web: { advice: 'Look again at home, once the router passes 80 and 443 on.', ofThePlace: true },
  mail: {
    advice: 'A home’s line seldom may send mail; the fediverse does not need it.',
    ofThePlace: true,
  },
  services: { advice: 'Look at `systemctl --failed` on the node.', ofThePlace: false },
  systemresources: { advice: 'Use a larger drive, or a larger machine.', ofThePlace: false },
  regenconf: { advice: 'Run `yunohost tools regen-conf --force` on the node.', ofThePlace: false },
  basesystem: { advice: 'Run `yunohost tools upgrade` on the node.', ofThePlace: false },
  apps: { advice: 'Run `yunohost app upgrade` on the node.', ofThePlace: false },
};
const otherwise = { advice: 'See `yunohost diagnosis show` on the node.', ofThePlace: false };

/** Undefined: it never ran. */
export const complaints: Fact<Complaint[] | undefined> = {
  script: 'yunohost diagnosis show --issues --output-as json | tail -n 1',
  parse(text) {
    if (text === '') return undefined;
    try {
      const { reports } = lastJson(text) as { reports: Report[] };
      return reports.flatMap(({ id, items }) =>
        items.map(({ status, summary }) => ({
          category: id,
          severity: status === 'ERROR' ? ('error' as const) : ('warning' as const),
          summary: summary.replace(/<[^>]*>/g, ''),
          ...(advices[id] ?? otherwise),
        })),
      );
    } catch {
      throw new FactError('YunoHost’s diagnosis as JSON', text);
    }
  },
};

interface Report {
  id: string;
  items: { status: string; summary: string }[];
}

export function diagnosisSteps(facts: { stamps: Stamps; files: FileStates }): Step[] {
  return effect(
    {
      id: 'yunohost-diagnosis',
      name: 'Have YunoHost look at itself',
      dependsOn: 'once',
      command: `${session}
ynh diagnosis run
ls ${cache}/*.json >/dev/null 2>&1 || explain`,
      timeoutS: 1800,
      failures: refusalFailures,
    },
    facts,
  );
}

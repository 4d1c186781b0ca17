// The applications that a YunoHost has, as its command tells, and whether kit was in the middle of
// installing one: an installation that was cut off is listed like any other. Pure.

import { FactError, type Fact } from '../fact.ts';
import { lastJson } from './session.ts';
import { markPath } from './state.ts';

export interface AppState {
  id: string;
  version: string;
  /** Without a slash at its end; empty: it is at no address. */
  domainPath: string;
}

/** There while kit installs NAME: what is left of it after a cut is nobody's. */
export const begunMark = (app: string): string => `/var/lib/commons-kit/installing-${app}`;

export const apps: Fact<AppState[]> = {
  script: `[ -e ${markPath} ] || { echo '{"apps":[]}'; exit 0; }
yunohost app list --output-as json | tail -n 1`,
  parse(text) {
    try {
      const { apps: listed } = lastJson(text) as { apps: Record<string, string>[] };
      return listed.map(({ id, version, domain_path: path = '' }) => (
        { id, version, domainPath: path.replace(/\/+$/, '') }
      ));
    } catch {
      throw new FactError('YunoHost’s applications as JSON', text);
    }
  },
};

/** The application that kit began to install and did not see to its end. */
export const appBegun: Fact<string | undefined> = {
  script: 'cd /var/lib/commons-kit && ls -d installing-*',
  parse: (text, exitCode) =>
    exitCode === 0 ? text.split('\n')[0].slice('installing-'.length) : undefined,
};

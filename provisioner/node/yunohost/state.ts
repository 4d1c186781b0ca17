// How far YunoHost is, read from where it keeps it. `/etc/yunohost/installed` is necessary and not
// sufficient: a power cut can fall before it or after it (FACTS). Pure: commands and parsers.

import { FactError, type Fact } from '../fact.ts';
import type { YunohostHome } from './desired.ts';
import { directoryScript, readDirectory, type Directory } from './directory.ts';
import { lastJson } from './session.ts';

export interface YunohostState {
  /** Undefined: it is not installed. */
  version?: string;
  /** `/etc/yunohost/installed` is there. */
  marked: boolean;
  mainDomain?: string;
  directory: Directory;
  /** What the postinstall writes last: the configuration of these. */
  configured: { ssh: boolean; web: boolean; firewall: boolean };
}

export const markPath = '/etc/yunohost/installed';

/** Prints `ssh`, `web`, `firewall`, as far as YunoHost has configured each. */
export function configuredScript(domain: string): string {
  return `grep -q 'by YunoHost' /etc/ssh/sshd_config && echo 'configured ssh'
[ -s /etc/nginx/conf.d/${domain}.conf ] && echo 'configured web'
[ -s /etc/nftables.d/yunohost-firewall.conf ] && echo 'configured firewall'`;
}

export function yunohostState(domain: string): Fact<YunohostState> {
  return {
    script: `command -v yunohost >/dev/null || { echo absent; exit 0; }
yunohost tools versions --output-as json | tail -n 1
[ -e ${markPath} ] && echo marked
[ -s /etc/yunohost/current_host ] && echo "main $(head -n 1 /etc/yunohost/current_host)"
${configuredScript(domain)}
echo directory
${directoryScript}`,
    parse: readState,
  };
}

const nobody: Directory = { domains: [], people: [], admins: [], everybody: [] };

function readState(text: string, exitCode: number): YunohostState {
  const configured = { ssh: false, web: false, firewall: false };
  if (text === 'absent') return { marked: false, directory: nobody, configured };
  const [told, ldif] = text.split(/^directory$/m);
  if (ldif === undefined || exitCode !== 0) throw new FactError('YunoHost’s directory', text);
  const [json, ...lines] = told.trim().split('\n');
  for (const name of ['ssh', 'web', 'firewall'] as const) {
    configured[name] = lines.includes(`configured ${name}`);
  }
  const main = lines.find((line) => line.startsWith('main '))?.slice('main '.length);
  return {
    version: readVersion(json),
    marked: lines.includes('marked'),
    ...(main !== undefined && { mainDomain: main }),
    directory: readDirectory(ldif),
    configured,
  };
}

function readVersion(json: string): string {
  try {
    const { yunohost } = lastJson(json) as { yunohost: { version: string } };
    if (typeof yunohost.version === 'string') return yunohost.version;
  } catch {
    // Told below, like JSON of another shape.
  }
  throw new FactError('YunoHost’s versions as JSON', json);
}

/** 12.1 is what was tried; 13 is the next. */
export function isKnownVersion(version: string): boolean {
  const [major, minor] = version.split('.').map(Number);
  return (major === 12 && minor >= 1) || major === 13;
}

/**
 * How far the postinstall is:
 *   untouched  nothing was begun
 *   begun      cut off before its user was whole
 *   half-way   its user is whole, it is not marked as done
 *   marked     marked as done, and the firewall or the configuration are not
 *   done       all that can be seen of it is there
 */
export type Stage = 'untouched' | 'begun' | 'half-way' | 'marked' | 'done';

export function stageOf(
  { marked, directory, configured }: YunohostState,
  { domain, owner }: Pick<YunohostHome, 'domain' | 'owner'>,
): Stage {
  const { ssh, web, firewall } = configured;
  if (marked) return ssh && web && firewall ? 'done' : 'marked';
  if (isWhole(directory, owner)) return 'half-way';
  const begun = directory.domains.includes(domain) || directory.people.includes(owner);
  return begun ? 'begun' : 'untouched';
}

function isWhole({ people, admins, everybody }: Directory, owner: string): boolean {
  return [people, admins, everybody].every((names) => names.includes(owner));
}

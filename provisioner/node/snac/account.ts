// One person's account on a snac server, worked by snac's own command line: follow, post, look.
// Where the commands run is the caller's: over SSH on a node, or in a try-out's second server. snac
// prints a status and exits 0 when a delivery fails, so nothing here reports a delivery: ask for
// the effect, and poll.

import { quote } from '../script.ts';
import type { Shell } from '../shell.ts';
import { snacData } from './server.ts';

export interface SnacPeer {
  /** `@user@domain` */
  readonly account: string;
  /** The actor's id. */
  readonly actor: string;
  /** Asks to follow `@user@domain`; the other side's consent shows in `following`. */
  follow(account: string): Promise<void>;
  unfollow(account: string): Promise<void>;
  post(text: string): Promise<void>;
  /** A post that only those whom it mentions see. */
  mention(text: string): Promise<void>;
  /**
   * Asks another server for an actor, signing the request. The HTTP status of its answer, but 201
   * where snac has kept it, and 200 without asking where it had before.
   */
  fetchActor(actor: string): Promise<number>;
  /** The actor that WebFinger names for `@user@domain`; undefined when it names none. */
  findActor(account: string): Promise<string | undefined>;
  /** The id of a post holding this text in the timeline, one's own or another's. */
  findNote(text: string): Promise<string | undefined>;
  /** Whether a post holding this text, one's own or another's, has arrived in the timeline. */
  timelineContains(text: string): Promise<boolean>;
  /** Ids of the actors that follow this one. */
  followers(): Promise<string[]>;
  /** Ids of the actors that accepted to be followed. */
  following(): Promise<string[]>;
}

export interface SnacAccount {
  user: string;
  domain: string;
  /** Where snac stands below the domain; at its root unless told otherwise. */
  prefix?: string;
  /** snac's folder; Debian's unless told otherwise. */
  folder?: string;
  /** The system user that snac runs as; Debian's unless told otherwise. */
  runAs?: string;
  /** Where its program is; in the path unless told otherwise. */
  program?: string;
}

export function snacPeer(
  { user, domain, ...where }: SnacAccount,
  shell: Shell,
): SnacPeer {
  const { prefix = '', folder = snacData, runAs = 'debian-snac', program = 'snac' } = where;
  const snac = (verb: string, ...words: string[]): Promise<string> =>
    shell(asUser(runAs, [program, verb, folder, user, ...words]));
  const home = `${folder}/user/${user}`;
  return {
    account: `@${user}@${domain}`,
    actor: `https://${domain}${prefix}/${user}`,
    follow: async (account) => void (await snac('follow', account)),
    unfollow: async (account) => void (await snac('unfollow', account)),
    post: async (text) => void (await snac('note', text)),
    mention: async (text) => void (await snac('note_mention', text)),
    async fetchActor(actor) {
      const said = await snac('actor', actor);
      return Number(/^status: (-?\d+)$/m.exec(said)?.[1] ?? 0);
    },
    async findActor(account) {
      const said = await shell(asUser(runAs, [program, 'webfinger', folder, account]));
      return /^actor: (https:\S+)$/m.exec(said)?.[1];
    },
    async findNote(text) {
      const found = await shell(`cd ${home}
file=$(grep -rlF -e ${quote(text)} private public 2>/dev/null | head -n 1)
[ -z "$file" ] || cat "$file"`);
      return found.trim() === '' ? undefined : (JSON.parse(found) as { id: string }).id;
    },
    async timelineContains(text) {
      return (await this.findNote(text)) !== undefined;
    },
    async followers() {
      return objects(await shell(printAll(`${home}/followers`))).flatMap(({ id }) => id ?? []);
    },
    async following() {
      const messages = objects(await shell(printAll(`${home}/following`)));
      return messages.flatMap(({ type, actor }) => (type === 'Accept' && actor ? [actor] : []));
    },
  };
}

/** As root snac would leave files that its daemon cannot change. */
function asUser(user: string, words: string[]): string {
  const command = words.map(quote).join(' ');
  return `${user === 'root' ? '' : `runuser -u ${user} -- `}${command}`;
}

/** Separates files in one answer; no line of indented JSON looks like it. */
const separator = '=====';

function printAll(folder: string): string {
  return `for file in ${folder}/*.json; do
  [ -e "$file" ] || continue
  cat "$file"
  printf '\\n${separator}\\n'
done`;
}

function objects(text: string): { id?: string; type?: string; actor?: string }[] {
  return text
    .split(`\n${separator}\n`)
    .filter((part) => part.trim() !== '')
    .map((part) => JSON.parse(part));
}

// An owner who has lost the passphrase, at a terminal: `ssh recover@node`, a slip of the hand, a
// code, the new passphrase. Then what opens, and what does not any more.

import ssh2 from 'ssh2';

export interface Lost {
  host: string;
  /** The node's, as in known_hosts. */
  hostKey: string;
  owner: string;
  code: string;
  other: string;
  /** The passphrase that was lost. */
  old: string;
  /** Codes that are good afterwards. */
  left: number;
  /** Root is let in by it from the home's network: YunoHost's own way, for a directory that is down. */
  rootToo?: boolean;
}

/** @returns the new passphrase @throws Error saying what was not as it should be */
export async function useRecoveryCode(lost: Lost): Promise<string> {
  const { owner, code, old, left, rootToo = false } = lost;
  const slip = `${code.slice(0, -1)}${code.endsWith('2') ? '3' : '2'}`;
  const first = await talk(lost, [slip, code.toUpperCase().replaceAll('-', ' '), lastPassphrase]);
  const fresh = lastPassphrase(first);
  if (!first.includes(`codes left: ${left}`)) throw new Error(`not done: ${first.slice(-300)}`);
  const second = await talk(lost, [code, '']);
  if (!/was used before/.test(second)) throw new Error(`a spent code: ${second.slice(-300)}`);
  const opens = async (user: string, passphrase: string) => login(lost, user, passphrase);
  if (!(await opens(owner, fresh))) throw new Error('the new passphrase does not open the node');
  if (await opens(owner, old)) throw new Error('the lost passphrase still opens the node');
  const isRootIn = await opens('root', fresh);
  if (isRootIn !== rootToo) throw new Error(`root by passphrase over the network: ${isRootIn}`);
  return fresh;
}

/** The word alone on its line. */
function lastPassphrase(said: string): string {
  const found = [...said.matchAll(/^\s+((?:[a-z]{5}-){4}[a-z]{5})\r?$/gm)].at(-1);
  if (found === undefined) throw new Error(`no passphrase was offered: ${said.slice(-300)}`);
  return found[1];
}

type Line = string | ((said: string) => string);

/** Types a line at each prompt; everything that was said. */
function talk({ host, hostKey }: Lost, lines: Line[]): Promise<string> {
  const client = new ssh2.Client();
  return new Promise<string>((resolve, reject) => {
    let said = '';
    let answered = 0;
    const end = (): void => void (client.end(), resolve(said));
    client.on('error', reject);
    client.on('ready', () => {
      client.shell({ term: 'dumb' }, (error, terminal) => {
        if (error) return reject(error);
        terminal.on('close', end);
        terminal.on('data', (bytes: Buffer) => {
          said += bytes;
          if (!/: $/.test(said.slice(-3)) && !/: $/.test(said)) return;
          const line = lines[answered++];
          if (line === undefined) return end();
          terminal.write(`${typeof line === 'string' ? line : line(said)}\r`);
        });
      });
    });
    client.connect({ ...patient, host, username: 'recover', hostVerifier: sameAs(hostKey) });
  });
}

function login({ host, hostKey }: Lost, username: string, password: string): Promise<boolean> {
  const client = new ssh2.Client();
  return new Promise<boolean>((resolve, reject) => {
    client.on('ready', () => void (client.end(), resolve(true)));
    client.on('error', (error: Error & { level?: string }) => {
      if (error.level === 'client-authentication') resolve(false);
      else reject(error);
    });
    client.connect({ ...patient, host, username, password, hostVerifier: sameAs(hostKey) });
  });
}

/** However busy the machine is. */
const patient = { readyTimeout: 0 };

function sameAs(line: string): (key: Buffer) => boolean {
  const wanted = Buffer.from(line.split(' ')[1], 'base64');
  return (key) => key.equals(wanted);
}

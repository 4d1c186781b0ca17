// What opens the Wi-Fi of a kit's home. The name of the network stands in campaign.toml; its
// passphrase is a secret that only a person knows, so it is asked for: without echo, or as one line
// on standard input; never as an argument, which every user of the machine could read.

import type { Readable, Writable } from 'node:stream';

import { KitError } from '../errors.ts';
import type { Campaign, Kit, Wifi } from './campaign.ts';
import type { KitSecrets } from './secrets.ts';

/** A terminal, or whatever stands in its place. */
export interface Keyboard {
  input: Readable & { isTTY?: boolean; setRawMode?(raw: boolean): unknown };
  output: Writable;
}

/** IEEE 802.11-2020 § J.4.1: a passphrase is 8 to 63 printable ASCII characters. */
const passphrasePattern = /^[ -~]{8,63}$/;
/** Nobody's line is longer; what sends more is no person. */
const maxInputChars = 4096;

/** @throws KitError `no-wifi` */
export function wifiOf(kit: Kit, campaign: Campaign): Wifi {
  if (kit.network.wifi !== undefined) return kit.network.wifi;
  throw new KitError({
    code: 'no-wifi',
    message: `${kit.name} has no Wi-Fi`,
    expected: 'network = { wifi = { ssid = "…", country = "…" } } in its [[kit]]',
    got: 'none',
    hint: `Add it to ${campaign.file}. Its node may stay on a cable; its meter knows Wi-Fi alone.`,
    exitCode: 2,
  });
}

/**
 * What a kit with Wi-Fi needs before it is flashed; undefined for one without.
 * @throws KitError `wifi-passphrase-missing`
 */
export function wifiPassphrase(kit: Kit, secrets: Pick<KitSecrets, 'wifi'>): string | undefined {
  const { wifi } = kit.network;
  if (wifi === undefined) return undefined;
  if (secrets.wifi?.ssid === wifi.ssid) return secrets.wifi.passphrase;
  throw new KitError({
    code: 'wifi-passphrase-missing',
    message: `Nobody has given the passphrase of ${kit.name}'s Wi-Fi`,
    expected: `the passphrase of “${wifi.ssid}”`,
    got: secrets.wifi === undefined ? 'none' : `one of “${secrets.wifi.ssid}”`,
    hint: `Run \`kit wifi ${kit.name}\`.`,
  });
}

/** In the meter's settings (firmware/settings.ts), the home's own included. */
const mostNetworks = 4;

type Network = NonNullable<KitSecrets['wifi']>;

/**
 * The other networks of a kit with one more, or with another passphrase of one.
 * @throws KitError `wifi-too-many`, `wifi-named-twice`
 */
export function withNetwork(own: string, others: Network[], network: Network): Network[] {
  if (network.ssid === own) {
    throw new KitError({
      code: 'wifi-named-twice',
      message: `“${own}” is the network of campaign.toml`,
      expected: 'another network for --also',
      got: own,
      hint: 'Leave --also out to give the passphrase of that one.',
      exitCode: 2,
    });
  }
  const rest = others.filter(({ ssid }) => ssid !== network.ssid);
  if (rest.length + 2 <= mostNetworks) return [...rest, network];
  throw new KitError({
    code: 'wifi-too-many',
    message: 'A meter knows no more networks',
    expected: `at most ${mostNetworks - 1} besides “${own}”`,
    got: rest.map(({ ssid }) => `“${ssid}”`).join(', '),
    hint: 'Take one away with --forget.',
    exitCode: 2,
  });
}

/**
 * The other networks of a kit without that one.
 * @throws KitError `wifi-unknown`
 */
export function withoutNetwork(others: Network[], ssid: string): Network[] {
  if (others.some((network) => network.ssid === ssid)) {
    return others.filter((network) => network.ssid !== ssid);
  }
  throw new KitError({
    code: 'wifi-unknown',
    message: `No network “${ssid}” is kept besides the home’s own`,
    expected: others.map((network) => `“${network.ssid}”`).join(', ') || 'none',
    got: ssid,
    hint: 'Networks are written as their routers write them.',
    exitCode: 2,
  });
}

/**
 * Asks for a passphrase twice on a terminal; takes one line from anything else.
 * @throws KitError `passphrase-invalid`, `passphrases-differ`, `answers-ended`
 */
export async function readPassphrase(ssid: string, keyboard: Keyboard): Promise<string> {
  if (!keyboard.input.isTTY) return checked((await readAll(keyboard.input)).replace(/\r?\n$/, ''));
  const first = checked(await askUnseen(`Passphrase of “${ssid}”: `, keyboard));
  const second = await askUnseen('Once more: ', keyboard);
  if (first === second) return first;
  throw new KitError({
    code: 'passphrases-differ',
    message: 'Nothing was kept',
    expected: 'the same passphrase twice',
    got: 'two different ones',
    hint: 'Run the command again.',
    exitCode: 2,
  });
}

/** Says of a wrong one how long it is, and no more. */
function checked(passphrase: string): string {
  if (passphrasePattern.test(passphrase)) return passphrase;
  throw new KitError({
    code: 'passphrase-invalid',
    message: 'That cannot be the passphrase of a Wi-Fi',
    expected: '8 to 63 printable ASCII characters, on one line',
    got: `${[...passphrase].length} characters`,
    hint: 'Look at the label of the router.',
    exitCode: 2,
  });
}

async function readAll(input: Readable): Promise<string> {
  let text = '';
  for await (const chunk of input) {
    text += chunk;
    if (text.length > maxInputChars) break;
  }
  return text;
}

const enter = /[\r\n]/;
const controlC = '\x03';
const controlD = '\x04';
const erase = /[\x08\x7f]/;

/** In raw mode nothing is echoed, and keys come as they are: also those that edit or end. */
async function askUnseen(prompt: string, { input, output }: Keyboard): Promise<string> {
  // First: who sees the question may type at once, or paste.
  input.setRawMode?.(true);
  output.write(prompt);
  try {
    let typed = '';
    for await (const chunk of input.iterator({ destroyOnReturn: false })) {
      for (const key of String(chunk)) {
        if (enter.test(key)) return typed;
        if (key === controlC || key === controlD) throw ended();
        typed = erase.test(key) ? typed.slice(0, -1) : typed + key;
      }
    }
    throw ended();
  } finally {
    input.setRawMode?.(false);
    input.pause();
    output.write('\n');
  }
}

function ended(): KitError {
  return new KitError({
    code: 'answers-ended',
    message: 'Nothing was kept',
    expected: 'a passphrase, then Enter',
    got: 'the end of the input',
    hint: 'Run the command again.',
    exitCode: 2,
  });
}

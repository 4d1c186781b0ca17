import test from 'ava';

import { findKit, parseCampaign, readCampaign } from '../../../provisioner/campaign/campaign.ts';
import { KitError } from '../../../provisioner/errors.ts';
import { campaignText } from '../../helpers/bench.ts';

test('a campaign is read with what it leaves out filled in', (t) => {
  const campaign = parseCampaign(campaignText, 'some/campaign.toml');
  const { dir, file, kits, ...rest } = campaign;
  t.true(file.endsWith('/some/campaign.toml'));
  t.true(dir.endsWith('/some'));
  t.deepEqual(rest, {
    ...{ name: 'Riverside', ledger: 'http://ledger.test', ledgerOrigin: 'ledger.test/commons' },
    ...{ image: 'tiny', arch: 'amd64', timezone: 'Europe/Vienna', caDomains: [], imageSigners: [] },
    yunohost: { app: 'snac' },
  });
  t.deepEqual(kits[0], {
    ...{ name: 'alice', domain: 'alice.test', owner: 'alice', language: 'en' },
    ...{ network: {}, publish: 'day', address: 'alice.test', sshPort: 22 },
  });
  t.deepEqual(findKit(campaign, 'bob').network, {
    fixed: { address: '192.168.77.9/24', gateway: '192.168.77.1', dns: ['192.168.77.1'] },
  });
});

test('a network may be Wi-Fi, with an address of its own or without', (t) => {
  const wifi = 'wifi = { ssid = "Café ☕", country = "AT" }';
  const fixed = campaignText.replace('dns = ["192.168.77.1"]', `dns = ["192.168.77.1"], ${wifi}`);
  const roaming = campaignText.replace(/network = .*/, `network = { ${wifi} }`);
  const networkOf = (text: string) => findKit(parseCampaign(text, 'campaign.toml'), 'bob').network;
  t.deepEqual(networkOf(roaming), { wifi: { ssid: 'Café ☕', country: 'AT' } });
  t.deepEqual(networkOf(fixed), {
    fixed: { address: '192.168.77.9/24', gateway: '192.168.77.1', dns: ['192.168.77.1'] },
    wifi: { ssid: 'Café ☕', country: 'AT' },
  });
});

test('what is to choose of a YunoHost', (t) => {
  const chosen = (table: string) =>
    parseCampaign(
      campaignText.replace('image = "tiny"', 'image = "yunohost"').replace('[[kit]]', `${table}[[kit]]`),
      'campaign.toml',
    ).yunohost;
  t.deepEqual(chosen(''), { app: 'snac' });
  t.deepEqual(chosen('[yunohost]\napp = "gotosocial"\n'), { app: 'gotosocial' });
  const error = t.throws(() => chosen('[yunohost]\ncertificate = "letsencrypt"\n'), { instanceOf: KitError });
  t.is(error.code, 'campaign-invalid');
  t.regex(error.hint!, /\[certificates\].*acme = /);
});

test('certificates come from the campaign’s authority, or by ACME', (t) => {
  const acmeOf = (text: string) =>
    parseCampaign(campaignText.replace('\n[[kit]]', `${text}\n[[kit]]`), 'campaign.toml').acme;
  const directory = 'https://acme.example.org/directory';
  t.is(acmeOf('certificates = "campaign"'), undefined);
  t.deepEqual(acmeOf(`[certificates]\nacme = "${directory}"`), { directory });
  const contact = 'a.b+c@example.org';
  const both = `[certificates]\nacme = "${directory}"\ncontact = "${contact}"`;
  t.deepEqual(acmeOf(both), { directory, contact });
});

/** What is changed in a good campaign, and what the error must say: code, key, expected, got. */
const mistakes: [name: string, from: string, to: string, words: (string | RegExp)[]][] = [
  ['an unknown key', 'owner = "alice"', 'owner = "alice"\ncolour = "red"',
    ['campaign-invalid', 'unknown key kit[1].colour', /only the keys/, '"colour"']],
  ['an unknown key at the top', 'image = "tiny"', 'image = "tiny"\nfoo = 1',
    ['campaign-invalid', 'unknown key foo', /only the keys/, '"foo"']],
  ['certificates over plain HTTP', 'image = "tiny"', 'image = "tiny"\ncertificates = { acme = "http://a.test/" }',
    ['campaign-invalid', 'certificates.acme', /https/, '"http://a.test/"']],
  ['a contact that is an option', 'image = "tiny"', 'image = "tiny"\ncertificates = { acme = "https://a.test/", contact = "-y@a.test" }',
    ['campaign-invalid', 'certificates.contact', /e-mail/, '"-y@a.test"']],
  ['a missing key', 'domain = "bob.test"', '',
    ['campaign-invalid', 'kit[2].domain is missing', /domain/, 'nothing']],
  ['a kit’s name that is no label', 'name = "alice"', 'name = "-alice"',
    ['campaign-invalid', 'kit[1].name', /DNS label/, '"-alice"']],
  ['a name too long', 'name = "alice"', `name = "${'a'.repeat(64)}"`,
    ['campaign-invalid', 'kit[1].name', /at most 63/, /aaa/]],
  ['a name that climbs out of the folder', 'name = "alice"', 'name = "../x"',
    ['campaign-invalid', 'kit[1].name', /DNS label/, '"../x"']],
  ['a domain without a dot', '"alice.test"', '"alice"',
    ['campaign-invalid', 'kit[1].domain', /a domain/, '"alice"']],
  ['a domain in capitals', '"alice.test"', '"Alice.test"',
    ['campaign-invalid', 'kit[1].domain', /lower case/, '"Alice.test"']],
  ['an address as a domain', '"alice.test"', '"192.168.1.1"',
    ['campaign-invalid', 'kit[1].domain', /a domain/, '"192.168.1.1"']],
  ['a user that is root', 'owner = "alice"', 'owner = "root"',
    ['campaign-invalid', 'kit[1].owner', /not root/, '"root"']],
  ['a publish rule that is none of ours', 'owner = "alice"', 'owner = "alice"\npublish = "week"',
    ['campaign-invalid', 'kit[1].publish', /"day"/, '"week"']],
  ['a network that is a word', 'owner = "alice"', 'owner = "alice"\nnetwork = "wifi"',
    ['campaign-invalid', 'kit[1].network', /"dhcp"/, '"wifi"']],
  ['a network with a wrong gateway', 'gateway = "192.168.77.1"', 'gateway = "router"',
    ['campaign-invalid', 'kit[2].network.gateway', /an IPv4 or IPv6 address/, '"router"']],
  ['a network without a prefix', '"192.168.77.9/24"', '"192.168.77.9"',
    ['campaign-invalid', 'kit[2].network.address', /prefix/, '"192.168.77.9"']],
  ['half an address', ', gateway = "192.168.77.1"', '',
    ['campaign-invalid', 'kit[2].network', /together/, /192/]],
  ['a Wi-Fi without a country', 'owner = "alice"', 'owner = "alice"\nnetwork = { wifi = { ssid = "x" } }',
    ['campaign-invalid', 'kit[1].network.wifi.country is missing', /country/, 'nothing']],
  ['a passphrase in the campaign', 'owner = "alice"',
    'owner = "alice"\nnetwork = { wifi = { ssid = "x", country = "AT", passphrase = "secret12" } }',
    ['campaign-invalid', 'kit[1].network.wifi.passphrase', /only the keys/, '"passphrase"']],
  ['an SSID of 33 bytes', 'owner = "alice"',
    `owner = "alice"\nnetwork = { wifi = { ssid = "${'é'.repeat(16)}x", country = "AT" } }`,
    ['campaign-invalid', 'kit[1].network.wifi.ssid', /32 bytes/, /é/]],
  ['a port out of range', 'owner = "alice"', 'owner = "alice"\nssh_port = 70000',
    ['campaign-invalid', 'kit[1].ssh_port', /1 to 65535/, '70000']],
  ['a YunoHost’s choices for another image', '[[kit]]', '[yunohost]\napp = "snac"\n[[kit]]',
    ['campaign-invalid', '[yunohost]', /image = "yunohost"/, 'image = "tiny"']],
  ['an application that nobody has tried', '[[kit]]', '[yunohost]\napp = "pixelfed"\n[[kit]]',
    ['campaign-invalid', 'yunohost.app', /"gotosocial"/, '"pixelfed"']],
  ['an architecture that is none of ours', '"amd64"', '"riscv64"',
    ['campaign-invalid', 'arch', /"arm64"/, '"riscv64"']],
  ['a time zone that is not one', 'Europe/Vienna', 'Mars/Olympus',
    ['campaign-invalid', 'timezone', /time zone/, '"Mars/Olympus"']],
  ['a ledger that is no address', 'http://ledger.test', 'ledger.test',
    ['campaign-invalid', 'ledger', /http:\/\//, '"ledger.test"']],
  ['a value of another type', 'name = "Riverside"', 'name = 7',
    ['campaign-invalid', 'name', 'string', '7']],
  ['two kits of a name', 'name = "bob"', 'name = "alice"',
    ['campaign-duplicate', 'kit[2].name', /of its own/, /kit\[1\]/]],
  ['two kits of a domain', '"bob.test"', '"alice.test"',
    ['campaign-duplicate', 'kit[2].domain', /of its own/, /kit\[1\]/]],
  ['a text that is no TOML', '[[kit]]', '[[kit]',
    ['campaign-not-toml', 'line 8', /lines such as/, /\w/]],
];

for (const [name, from, to, [code, message, expected, got]] of mistakes) {
  test(`${name} is refused in the user’s words`, (t) => {
    t.true(campaignText.includes(from), 'the test changes something');
    const text = campaignText.replace(from, to);
    const error = t.throws(() => parseCampaign(text, 'campaign.toml'), { instanceOf: KitError });
    t.is(error.code, code as string);
    t.is(error.exitCode, 2);
    t.true(error.message.includes('campaign.toml'), error.message);
    t.true(error.message.includes(message as string), error.message);
    t.regex(error.expected!, asPattern(expected));
    t.regex(error.got!, asPattern(got));
    t.truthy(error.hint);
  });
}

test('a campaign without kits', (t) => {
  const text = campaignText.slice(0, campaignText.indexOf('[[kit]]'));
  const error = t.throws(() => parseCampaign(text, 'c.toml'), { instanceOf: KitError });
  t.is(error.message, 'c.toml: kit is missing');
});

test('a campaign that is not there, and a kit that is not in it', async (t) => {
  const unread = await t.throwsAsync(readCampaign('/no/campaign.toml'), { instanceOf: KitError });
  t.is(unread.code, 'campaign-unreadable');
  const campaign = parseCampaign(campaignText, 'c.toml');
  const unknown = t.throws(() => findKit(campaign, 'carol'), { instanceOf: KitError });
  t.is(unknown.code, 'unknown-kit');
  t.is(unknown.expected, 'one of alice, bob');
});

function asPattern(words: string | RegExp): RegExp {
  return words instanceof RegExp ? words : new RegExp(words.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
}

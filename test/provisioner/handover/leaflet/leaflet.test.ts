// The leaflet as a printer has it: rasterised, its codes decoded, its words where they belong.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import test from 'ava';
import jsqr from 'jsqr';
import { PNG } from 'pngjs';

import { makeOwnerKey } from '../../../../provisioner/campaign/owner-key.ts';
import { renderLeaflet, type LeafletFacts } from '../../../../provisioner/handover/leaflet/leaflet.ts';
import { makeRecoveryCodes } from '../../../../provisioner/handover/recovery-code.ts';
import { languages, readTexts } from '../../../../provisioner/handover/texts.ts';
import { seededRandom } from '../../../helpers/bench.ts';

// CommonJS: what Node gives as the default is the module's function itself.
const decode = jsqr as unknown as typeof jsqr.default;

const facts: LeafletFacts = {
  kit: 'alice',
  domain: 'alice.test',
  community: 'Riverside',
  user: 'alice',
  addresses: 'alice.test/alice/admin',
  loginAddress: 'https://alice.test/alice/admin',
  handle: '@alice@alice.test',
  healthPage: 'http://alice:8010/',
  isKnownToBrowsers: false,
  contact: 'Robin, 01 234 567',
  ledgerPage: 'https://ledger.test/node/0123456789abcdef',
};

/** The longest names that a campaign may have, and nobody to call. */
const long: LeafletFacts = {
  ...facts,
  kit: 'k'.repeat(30),
  domain: `${'long-name.'.repeat(6)}example.org`,
  community: 'Ü'.repeat(100),
  user: 'u'.repeat(32),
  addresses: `${'long-name.'.repeat(6)}example.org/${'u'.repeat(32)}/admin`,
  loginAddress: `https://${'long-name.'.repeat(6)}example.org/${'u'.repeat(32)}/admin`,
  handle: `@${'u'.repeat(32)}@${'long-name.'.repeat(6)}example.org`,
  healthPage: `http://${'k'.repeat(30)}:8010/`,
  contact: undefined,
};

const secrets = {
  passphrase: 'lusab-babad-gutih-tugad-kuvup',
  recoveryCodes: makeRecoveryCodes(seededRandom('leaflet')),
  ownerKey: makeOwnerKey(seededRandom('leaflet')),
  printWord: 'mumon',
};

type Picture = ReturnType<typeof PNG.sync.read>;

interface Word {
  text: string;
  /** In millimetres. */
  left: number;
  top: number;
  right: number;
  bottom: number;
}

async function render(language: string, shown = facts): Promise<Uint8Array> {
  const texts = await readTexts(language);
  const about = { madeAtMs: Date.UTC(2026, 10, 26), language };
  return renderLeaflet({ facts: shown, secrets, texts }, about);
}

/** What `work` makes of the file, given its name and its folder. */
function withFile<T>(pdf: Uint8Array, work: (file: string, dir: string) => T): T {
  const dir = mkdtempSync(join(tmpdir(), 'leaflet-'));
  const file = join(dir, 'leaflet.pdf');
  writeFileSync(file, pdf);
  try {
    return work(file, dir);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** The pages as a printer would have them. */
function picturesOf(pdf: Uint8Array): Picture[] {
  return withFile(pdf, (file, dir) => {
    execFileSync('pdftoppm', ['-r', '150', '-png', file, join(dir, 'page')]);
    return [1, 2].map((page) => PNG.sync.read(readFileSync(join(dir, `page-${page}.png`))));
  });
}

/** The words of each page, and where they stand. */
function wordsOf(pdf: Uint8Array): Word[][] {
  const boxes = withFile(pdf, (file) => execFileSync('pdftotext', ['-bbox', file, '-'], { encoding: 'utf8' }));
  return boxes.split('<page ').slice(1).map(wordsIn);
}

function wordsIn(page: string): Word[] {
  const pattern = /<word xMin="(.*?)" yMin="(.*?)" xMax="(.*?)" yMax="(.*?)">(.*?)<\/word>/g;
  return [...page.matchAll(pattern)].map(([, ...parts]) => {
    const [left, top, right, bottom] = parts.slice(0, 4).map((points) => (Number(points) / 72) * 25.4);
    return { text: parts[4], left, top, right, bottom };
  });
}

/** The code in a part of a page, given in millimetres. */
function codeIn(picture: Picture, part: { left: number; top: number; right: number; bottom: number }) {
  const [left, top, right, bottom] = [part.left, part.top, part.right, part.bottom].map((mm) =>
    Math.round((mm / 25.4) * 150),
  );
  const cut = new Uint8ClampedArray((right - left) * (bottom - top) * 4);
  for (let y = top; y < bottom; y++) {
    const from = (y * picture.width + left) * 4;
    cut.set(picture.data.subarray(from, from + (right - left) * 4), (y - top) * (right - left) * 4);
  }
  return decode(cut, right - left, bottom - top)?.data;
}

const textOf = (words: Word[]): string => words.map(({ text }) => text).join(' ');

for (const language of await languages()) {
  test(`${language}: codes decode, secrets are on the inner third alone, all is grey`, async (t) => {
    const pdf = await render(language);
    const [pictures, words] = [picturesOf(pdf), wordsOf(pdf)];
    t.is(words.length, 2);
    const loginTop = words[0].find(({ text }) => text === facts.loginAddress)!.top;
    const login = { left: 155, top: loginTop - 5, right: 205, bottom: loginTop + 32 };
    t.is(codeIn(pictures[0], login), facts.loginAddress);
    const ledger = { left: 155, top: loginTop + 33, right: 205, bottom: 290 };
    t.is(codeIn(pictures[0], ledger), facts.ledgerPage);
    t.is(codeIn(pictures[1], { left: 155, top: 199, right: 205, bottom: 240 }), secrets.passphrase);
    t.is(codeIn(pictures[1], { left: 160, top: 255, right: 205, bottom: 293 }), secrets.ownerKey);

    const all = [secrets.passphrase, secrets.ownerKey, ...secrets.recoveryCodes];
    for (const secret of all) {
      t.false(textOf(words[0]).includes(secret), 'no secret on the open page');
      const places = words[1].filter(({ text }) => text === secret);
      t.deepEqual(places.map(({ top }) => top > 198), [true], secret);
    }
    t.true(words[1].some(({ text, bottom }) => text === secrets.printWord && bottom < 99));
    for (const { data } of pictures) {
      let coloured = 0;
      for (let at = 0; at < data.length; at += 4) {
        if (data[at] !== data[at + 1] || data[at] !== data[at + 2]) coloured += 1;
      }
      t.is(coloured, 0);
    }
  });

  test(`${language}: the longest names stay on the paper, and no word lies on another`, async (t) => {
    for (const shown of [facts, long]) {
      const words = wordsOf(await render(language, shown));
      for (const [page, pageWords] of words.entries()) {
        for (const { text, left, top, right, bottom } of pageWords) {
          const pattern = page === 1 && top > 99 && bottom < 198;
          t.true(left > (pattern ? 12 : 15), `${text} begins at ${left} mm`);
          t.true(right < 196, `${text} ends at ${right} mm`);
          t.true(top > 8 && bottom < 293, `${text} lies at ${top} to ${bottom} mm`);
        }
        const plain = pageWords.filter(({ top, bottom }) => page === 0 || top < 99 || bottom > 199);
        t.deepEqual(overlaps(plain), []);
      }
    }
  });
}

test('the inner third is backed by a pattern that knows nothing of the secrets', async (t) => {
  const pdf = await render('en');
  const [, picture] = picturesOf(pdf);
  const mm = (value: number): number => Math.round((value / 25.4) * 150);
  let dark = 0;
  for (let y = mm(104); y < mm(193); y++) {
    for (let x = mm(20); x < mm(190); x++) dark += picture.data[(y * picture.width + x) * 4] < 128 ? 1 : 0;
  }
  const share = dark / ((mm(193) - mm(104)) * (mm(190) - mm(20)));
  t.true(share > 0.2, `${share} of it is ink`);
  const panel = (words: Word[]) => words.filter(({ top, bottom }) => top > 99 && bottom < 198);
  const other = await render('de', long);
  t.deepEqual(panel(wordsOf(pdf)[1]), panel(wordsOf(other)[1]));
});

test('the same bytes on another day', async (t) => {
  t.true(Buffer.from(await render('en')).equals(await render('en')));
});

test('what a first login meets is told: the browser’s warning, and where the node says how it is', async (t) => {
  const openPage = async (shown: LeafletFacts) => textOf(wordsOf(await render('en', shown))[0]);
  const told = await openPage(facts);
  t.true(told.includes('http://alice:8010/'));
  t.regex(told, /Your browser will warn/);
  const plain = await openPage({ ...facts, healthPage: undefined, isKnownToBrowsers: true });
  t.notRegex(plain, /8010|will warn/);
});

test('the screen’s words are the firmware’s', async (t) => {
  const folder = new URL('../../../../firmware/', import.meta.url);
  const source = ['screen.ts', 'reporting.ts']
    .map((name) => readFileSync(new URL(name, folder), 'utf8'))
    .join('\n');
  for (const language of await languages()) {
    for (const [said] of (await readTexts(language)).screen.meanings) {
      // `5 waiting` is put together of a number and words.
      for (const part of said.split(/\d/)) t.true(source.includes(part), part);
    }
  }
});

/** Pairs of words whose boxes share more than a sliver. */
function overlaps(words: Word[]): string[] {
  const slackMm = 0.6;
  return words.flatMap((one, at) =>
    words
      .slice(at + 1)
      .filter(
        (other) =>
          Math.min(one.right, other.right) - Math.max(one.left, other.left) > slackMm &&
          Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top) > slackMm,
      )
      .map((other) => `${one.text} / ${other.text}`),
  );
}

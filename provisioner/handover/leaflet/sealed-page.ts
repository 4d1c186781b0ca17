// The leaflet's second page: folded twice, the owner's secrets are inside.
//
//   ┌──────────────────────┐   0 mm
//   │ A  for whom, folding │        folded down last: its back is the envelope's face
//   ├ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─┤  99
//   │ B  a pattern         │        under the secrets: against the light it cannot be read through
//   ├ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─┤ 198
//   │ C  the secrets       │        folded up first: lies between the two
//   └──────────────────────┘ 297

import { fill, type Texts } from '../texts.ts';
import type { LeafletFacts, LeafletSecrets } from './leaflet.ts';
import { a4Mm, innerMm, marginMm, type Sheet } from './sheet.ts';

const panelMm = a4Mm.height / 3;
const left = marginMm;
const right = marginMm + innerMm;
const codeMm = 26;
const keyCodeMm = 21;
const columns = 3;
const rowMm = 5.4;

export function drawSealedPage(
  sheet: Sheet,
  { facts, secrets, texts }: { facts: LeafletFacts; secrets: LeafletSecrets; texts: Texts },
): void {
  drawFolding(sheet, { facts, printWord: secrets.printWord, texts: texts.sealed });
  drawPattern(sheet, panelMm);
  for (const fold of [panelMm, 2 * panelMm]) {
    sheet.stroke(`M0 ${fold}H${a4Mm.width}`, { dash: 1.5, width: 0.2 });
  }
  drawSecrets(sheet, { facts, secrets, texts: texts.sealed });
}

function drawFolding(
  sheet: Sheet,
  { facts, printWord, texts }: { facts: LeafletFacts; printWord: string; texts: Texts['sealed'] },
): void {
  const title = fill(texts.title, facts);
  const width = innerMm;
  let y = sheet.text(title, {
    ...{ x: left, y: 13, face: 'bold' },
    size: sheet.sizeFor(title, { width, size: 22, face: 'bold' }),
  });
  const what = fill(texts.what, facts);
  y = sheet.text(what, { x: left, y: y + 1, size: sheet.sizeFor(what, { width, size: 11 }) }) + 4;
  for (const step of texts.fold) y = sheet.text(step, { x: left, y, width, size: 10 }) + 1;
  y = sheet.text(texts.unbroken, { x: left, y: y + 2, width, size: 9 }) + 2;
  y = sheet.text(texts.keep, { x: left, y, width, size: 9 }) + 4;
  sheet.box(left, y, innerMm, 11);
  sheet.text(texts.print_word, { x: left + 4, y: y + 3.4, size: 10 });
  sheet.text(printWord, { x: left, y: y + 2.4, width: width - 4, size: 14, face: 'mono', align: 'right' });
}

/**
 * Letters over letters, such as stand in the secrets: what shines through from behind is lost among
 * them. Always the same: nothing of the secrets is in it.
 */
function drawPattern(sheet: Sheet, top: number): void {
  const letters = 'bdfghjklmnprstvzaiou23456789';
  // A linear congruence (Numerical Recipes, § 7.1): it has only to look unordered.
  let state = 1;
  const next = (bound: number): number => {
    state = (state * 1664525 + 1013904223) % 2 ** 32;
    return Math.floor((state / 2 ** 32) * bound);
  };
  for (let y = top + 4; y < top + panelMm - 7; y += 2.3) {
    const line = Array.from({ length: 82 }, () => letters[next(letters.length)]).join('');
    const x = left + (next(20) - 10) / 10;
    sheet.text(line, { x, y, size: 10.2, face: 'mono' });
  }
}

function drawSecrets(
  sheet: Sheet,
  { facts, secrets, texts }: { facts: LeafletFacts; secrets: LeafletSecrets; texts: Texts['sealed'] },
): void {
  const wide = innerMm - codeMm - 6;
  const top = 2 * panelMm + 4.5;
  sheet.qr(secrets.passphrase, { x: right - codeMm, y: top, side: codeMm });
  const caption = { x: right - codeMm, y: top + codeMm + 1, width: codeMm, size: 7 };
  sheet.text(texts.passphrase_code, { ...caption, align: 'center' });

  let y = sheet.text(texts.passphrase, { x: left, y: top - 1, size: 11, face: 'bold' });
  const size = sheet.sizeFor(secrets.passphrase, { width: wide, size: 24, face: 'mono' });
  y = sheet.text(secrets.passphrase, { x: left, y, size, face: 'mono' });
  y = sheet.text(fill(texts.where_used, facts), { x: left, y: y + 0.5, width: wide, size: 8.5 });

  y = sheet.text(texts.codes, { x: left, y: y + 2, size: 11, face: 'bold' });
  y = sheet.text(fill(texts.codes_how, facts), { x: left, y, width: wide, size: 8.5 }) + 1;
  y = drawCodes(sheet, secrets.recoveryCodes, y) + 1;
  sheet.text(texts.new_passphrase, { x: left, y, size: 10 });
  sheet.stroke(`M${left + 38} ${y + 4.5}H${right - keyCodeMm - 6}`, { width: 0.2 });
  drawOwnerKey(sheet, secrets.ownerKey, { y: y + 6.5, texts });
}

/** What the ledger is asked with, at the sheet's foot. */
function drawOwnerKey(
  sheet: Sheet,
  key: string | undefined,
  { y: top, texts }: { y: number; texts: Texts['sealed'] },
): void {
  if (key === undefined) return;
  const width = innerMm - keyCodeMm - 6;
  sheet.qr(key, { x: right - keyCodeMm, y: top - 5, side: keyCodeMm });
  let y = sheet.text(texts.owner_key, { x: left, y: top, size: 11, face: 'bold' });
  const size = sheet.sizeFor(key, { width, size: 13, face: 'mono' });
  y = sheet.text(key, { x: left, y, size, face: 'mono' });
  sheet.text(texts.owner_key_how, { x: left, y, width, size: 8.5 });
}

/** In columns, each code with a box to cross. @returns where the next thing may begin */
function drawCodes(sheet: Sheet, codes: string[], top: number): number {
  const rows = Math.ceil(codes.length / columns);
  codes.forEach((code, index) => {
    const x = left + Math.floor(index / rows) * (innerMm / columns);
    const y = top + (index % rows) * rowMm;
    sheet.box(x, y + 0.5, 3.6, 3.6, 0.4);
    sheet.text(code, { x: x + 6, y, size: 12, face: 'mono' });
  });
  return top + rows * rowMm;
}

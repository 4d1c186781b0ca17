// The leaflet's first page, which anybody may see: what plugs where, what screen and light say, where
// to log in, whom to call. No secret is on it.

import { fill, type Texts } from '../texts.ts';
import type { LeafletFacts } from './leaflet.ts';
import { drawPlugs, drawScreen } from './pictures.ts';
import { innerMm, marginMm, type Sheet } from './sheet.ts';

const left = marginMm;
const right = marginMm + innerMm;
const codeMm = 22;
/** Between one section's end and the next one's rule. */
const gapMm = 4.5;
const bodySize = 10;

export function drawOpenPage(sheet: Sheet, facts: LeafletFacts, texts: Texts): void {
  let y = drawCover(sheet, facts, texts.cover);
  y = drawPlugging(sheet, texts.plug, y + gapMm);
  y = drawScreenMeanings(sheet, texts.screen, y + gapMm);
  y = drawLogin(sheet, facts, { texts: texts.login, y: y + gapMm });
  drawHelp(sheet, facts, { texts: texts.help, y: y + gapMm });
}

function drawCover(sheet: Sheet, facts: LeafletFacts, texts: Texts['cover']): number {
  const { title } = texts;
  const width = innerMm;
  let y = sheet.text(title, {
    ...{ x: left, y: marginMm - 3, face: 'bold' },
    size: sheet.sizeFor(title, { width, size: 25, face: 'bold' }),
  });
  const domain = { size: 15, face: 'mono' as const };
  y = sheet.text(facts.domain, {
    ...{ x: left, y: y + 1.5, ...domain },
    size: sheet.sizeFor(facts.domain, { width, ...domain }),
  });
  const by = fill(texts.made_by, facts);
  const size = sheet.sizeFor(by, { width, size: bodySize });
  return sheet.text(by, { x: left, y: y + 1, size });
}

/** A rule and the section's name. @returns where its content begins */
function drawHeading(sheet: Sheet, title: string, y: number): number {
  sheet.stroke(`M${left} ${y}H${right}`);
  return sheet.text(title, { x: left, y: y + 2.5, size: 13, face: 'bold' }) + 1.5;
}

function drawPlugging(sheet: Sheet, texts: Texts['plug'], top: number): number {
  let y = drawHeading(sheet, texts.title, top);
  y = drawPlugs(sheet, texts, { x: left + 2, y }) + 1;
  texts.steps.forEach((step, index) => {
    sheet.text(`${index + 1}.`, { x: left, y, size: bodySize, face: 'bold' });
    y = sheet.text(step, { x: left + 7, y, width: innerMm - 7, size: bodySize }) + 0.8;
  });
  return sheet.text(texts.patience, { x: left, y: y + 1, width: innerMm, size: bodySize - 1 });
}

function drawScreenMeanings(sheet: Sheet, texts: Texts['screen'], top: number): number {
  const start = drawHeading(sheet, texts.title, top);
  drawScreen(sheet, { x: left, y: start + 1 });
  const below = { x: left, width: 54, size: bodySize - 1 };
  const turned = sheet.text(texts.button, { ...below, y: start + 33 });
  const under = sheet.text(texts.light, { ...below, y: turned + 1 });
  const [saidX, meantX] = [left + 60, left + 102];
  let y = start;
  for (const [said, meant] of texts.meanings) {
    sheet.text(said, { x: saidX, y: y + 0.2, size: bodySize - 1, face: 'mono' });
    const width = right - meantX;
    y = sheet.text(meant, { x: meantX, y, width, size: bodySize - 1 }) + 1.6;
  }
  y = Math.max(under, y) + 0.5;
  return sheet.text(texts.other, { x: left, y, width: innerMm, size: bodySize - 1 });
}

function drawLogin(
  sheet: Sheet,
  { loginAddress, user, handle, healthPage, isKnownToBrowsers }: LeafletFacts,
  { texts, y: top }: { texts: Texts['login']; y: number },
): number {
  const start = drawHeading(sheet, texts.title, top);
  sheet.qr(loginAddress, { x: right - codeMm, y: start, side: codeMm });
  const valueX = left + 46;
  const width = right - codeMm - 6 - valueX;
  let y = start;
  // Long ones are set smaller, then broken: never too small to type from.
  const row = (name: string, value: string, face: 'mono' | 'regular' = 'mono'): void => {
    const size = Math.max(8.5, sheet.sizeFor(value, { width, size: 11, face }));
    const end = sheet.text(name, { x: left, y, size: bodySize });
    y = Math.max(end, sheet.text(value, { x: valueX, y, width, size, face })) + 1;
  };
  row(texts.address, loginAddress);
  row(texts.user, user);
  row(texts.passphrase, texts.passphrase_where, 'regular');
  row(texts.handle, handle);
  if (healthPage !== undefined) row(texts.health, healthPage);
  const notes = { x: left, width: right - codeMm - 6 - left, size: bodySize - 1 };
  if (!isKnownToBrowsers) y = sheet.text(texts.warning, { ...notes, y: y + 1 });
  return Math.max(sheet.text(texts.change, { ...notes, y: y + 1 }), start + codeMm);
}

function drawHelp(
  sheet: Sheet,
  { contact, ledgerPage }: LeafletFacts,
  { texts, y: top }: { texts: Texts['help']; y: number },
): void {
  const start = drawHeading(sheet, texts.title, top);
  const wide = innerMm - codeMm - 6;
  let y = start;
  if (contact === undefined) {
    // Somebody writes it by hand.
    y = sheet.text(texts.nobody, { x: left, y, size: bodySize });
    sheet.stroke(`M${left} ${y + 6}h${wide}M${left} ${y + 13}h${wide}`, { width: 0.2 });
    y += 14;
  } else {
    y = sheet.text(contact, { x: left, y, width: wide, size: 12, face: 'bold' }) + 2;
  }
  if (ledgerPage === undefined) return;
  y = sheet.text(texts.ledger, { x: left, y, width: wide, size: bodySize - 1 });
  const size = sheet.sizeFor(ledgerPage, { width: wide, size: bodySize - 1, face: 'mono' });
  sheet.text(ledgerPage, { x: left, y: y + 0.5, size, face: 'mono' });
  const x = right - codeMm;
  sheet.qr(ledgerPage, { x, y: start - 2, side: codeMm });
  const caption = { x, y: start + codeMm - 1, width: codeMm, size: 8 };
  sheet.text(texts.ledger_code, { ...caption, align: 'center' });
}

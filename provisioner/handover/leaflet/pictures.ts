// The leaflet's two pictures: what plugs where, and the meter's screen with its creature. Lines
// only: they must come out of any printer.

import type { Texts } from '../texts.ts';
import type { Sheet } from './sheet.ts';

/** Router, node, meter, supply from left to right, numbered in the order in which to plug. */
export function drawPlugs(sheet: Sheet, texts: Texts['plug'], { x, y }: { x: number; y: number }) {
  const boxes = [
    { name: texts.router, at: x, width: 34, height: 16 },
    { name: texts.node, at: x + 54, width: 36, height: 24 },
    { name: texts.meter, at: x + 106, width: 30, height: 20 },
    { name: texts.supply, at: x + 154, width: 20, height: 24 },
  ];
  const floor = y + 32;
  for (const { name, at, width, height } of boxes) {
    sheet.box(at, floor - height, width, height);
    const size = sheet.sizeFor(name, { width: width + 10, size: 9, face: 'bold' });
    const label = { x: at - 5, y: floor + 3, width: width + 10, size };
    sheet.text(name, { ...label, face: 'bold', align: 'center' });
  }
  drawRouter(sheet, boxes[0].at, floor - 16);
  drawNode(sheet, boxes[1].at, floor - 24);
  drawMeter(sheet, boxes[2].at, floor - 20);
  drawSupply(sheet, boxes[3].at, floor - 24);
  const cables = boxes.slice(1).map(({ at: to }, index) => {
    const from = boxes[index].at + boxes[index].width;
    return { from, to, y: floor - 6 };
  });
  // What has no plug was joined when the meter was made: nobody can exchange supplies.
  const plugsOf = [[0, 1], [1], []];
  cables.forEach((cable, index) => drawCable(sheet, cable, plugsOf[index]));
  cables.slice(0, 2).forEach(({ from, to, y: at }, index) =>
    drawNumber(sheet, String(index + 1), { x: (from + to) / 2, y: at - 5.5 }));
  drawNumber(sheet, '3', { x: boxes[3].at - 0.5, y: floor - 27 });
  return floor + 9;
}

/** A cable that sags. @param plugs at which of its ends there is one: 0 left, 1 right */
function drawCable(
  sheet: Sheet,
  { from, to, y }: { from: number; to: number; y: number },
  plugs: number[],
): void {
  const middle = (from + to) / 2;
  const ends = [from, to].map((at, end) => (plugs.includes(end) ? at + (end === 0 ? 3 : -3) : at));
  const sag = `C${middle - 2} ${y + 7} ${middle + 2} ${y + 7} ${ends[1]} ${y}`;
  sheet.stroke(`M${ends[0]} ${y}${sag}`, { width: 0.9 });
  for (const end of plugs) sheet.fill(`M${end === 0 ? from : to - 3} ${y - 1.3}h3v2.6h-3z`);
}

/** A white number in a black disc. */
export function drawNumber(sheet: Sheet, number: string, { x, y }: { x: number; y: number }): void {
  const r = 2.9;
  sheet.fill(`M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`);
  const place = { x: x - r, y: y - 1.95, width: 2 * r, size: 10 };
  sheet.text(number, { ...place, face: 'bold', align: 'center', grey: 1 });
}

function drawRouter(sheet: Sheet, x: number, y: number): void {
  sheet.stroke(`M${x + 6} ${y}l-3 -11M${x + 28} ${y}l3 -11`, { width: 0.7 });
  for (const at of [6, 10, 14, 18]) sheet.fill(`M${x + at} ${y + 4}h1.6v1.6h-1.6z`);
}

function drawNode(sheet: Sheet, x: number, y: number): void {
  for (const at of [5, 7.5, 10]) sheet.stroke(`M${x + 8} ${y + at}h20`, { width: 0.5 });
  sheet.fill(`M${x + 30} ${y + 18}h1.8v1.8h-1.8z`);
}

function drawMeter(sheet: Sheet, x: number, y: number): void {
  sheet.stroke(`M${x + 4} ${y + 3}h16v8h-16z`, { width: 0.5 });
  sheet.stroke(`M${x + 6} ${y + 5.5}h5M${x + 6} ${y + 8.5}h8`, { width: 0.5 });
  sheet.stroke(`M${x + 23.5} ${y + 7}a1.7 1.7 0 1 0 3.4 0a1.7 1.7 0 1 0 -3.4 0z`, { width: 0.5 });
}

function drawSupply(sheet: Sheet, x: number, y: number): void {
  sheet.fill(`M${x + 5.5} ${y - 5}h2v5h-2zM${x + 12.5} ${y - 5}h2v5h-2z`);
  sheet.stroke(`M${x + 11} ${y + 6}l-3.5 6h5l-3.5 6`, { width: 0.7 });
}

/** As the meter shows it when all is well: firmware/screen.ts has the words. */
export function drawScreen(sheet: Sheet, { x, y }: { x: number; y: number }): void {
  sheet.box(x, y, 54, 30, 3);
  const line = (content: string, at: number, size = 9): void =>
    void sheet.text(content, { x: x + 4, y: y + at, size, face: 'mono' });
  line('4.2 W', 3, 15);
  line('today 0.061 kWh', 11.5);
  line('up 3 h 12 min', 16);
  sheet.stroke(`M${x + 3} ${y + 22}h48`, { width: 0.2 });
  line('ledger ok', 23.5);
  drawCreature(sheet, x + 45, y + 9.5);
}

/** The creature, well and smiling; its middle is given. */
function drawCreature(sheet: Sheet, x: number, y: number): void {
  const width = 0.7;
  sheet.stroke(`M${x - 5} ${y}a5 4.6 0 1 0 10 0a5 4.6 0 1 0 -10 0z`, { width });
  sheet.stroke(`M${x - 2} ${y - 4.3}l-1.6 -2.2M${x + 2} ${y - 4.3}l1.6 -2.2`, { width });
  sheet.stroke(`M${x - 2.2} ${y + 1.2}c1 1.6 3.4 1.6 4.4 0`, { width });
  sheet.stroke(`M${x - 2} ${y + 4.3}l-0.8 1.6M${x + 2} ${y + 4.3}l0.8 1.6`, { width });
  for (const at of [x - 2.4, x + 1.2]) sheet.fill(`M${at} ${y - 1.9}h1.2v1.4h-1.2z`);
}

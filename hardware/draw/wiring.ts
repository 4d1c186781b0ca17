// The wiring as a picture: modules as boxes, wires as curves in their own colours; a step of the
// assembly shows its wires and greys the others. Drawn from the data alone. No I/O.

import { isMadeIn, nets, terminalLabel, wiringFor } from './data.ts';
import type { BoardName, Module, Step, Supply, Wire } from './data.ts';

export interface WiringOptions {
  supply: Supply;
  board: BoardName;
  title: string;
  /** Only its wires in colour; left out: all. */
  step?: Step;
}

const [WIDTH, HEIGHT] = [940, 780];
const GREY = '#d5d5d5';
const THICKNESS = { power: 5, feed: 3.2, signal: 2.2 };
const TITLE_HEIGHT = 26;
const TERMINAL_PITCH = 26;

export function drawWiring({ supply, board, title, step }: WiringOptions): string {
  const { modules, wires } = wiringFor(supply);
  const lit = (wire: Wire): boolean => step === undefined || isMadeIn(step, wire);
  // Those of the step last: nothing grey lies over them.
  const ordered = [...wires].sort((a, b) => Number(lit(a)) - Number(lit(b)));
  const curves = ordered.map((wire, index) => drawWire(wire, { modules, index, lit: lit(wire) }));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}"`,
    ` font-family="DejaVu Sans, sans-serif" font-size="13">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    `<text x="20" y="28" font-size="18" font-weight="bold">${escape(title)}</text>`,
    // What crosses a box passes behind it: names stay readable.
    ...curves,
    ...modules.map((module) => drawModule(module, board)),
    drawLegend(wires),
    '</svg>\n',
  ].join('\n');
}

function drawModule(module: Module, board: BoardName): string {
  const { id, title, at: [x, y], size: [width, height] } = module;
  const names = (side: 'left' | 'right'): string[] =>
    module[side].map((terminal) => {
      const [tx, ty] = placeOf(module, terminal);
      const [anchor, shift] = side === 'left' ? ['start', 9] : ['end', -9];
      const label = escape(terminalLabel(board, id, terminal));
      return (
        `<circle cx="${tx}" cy="${ty}" r="3.5" fill="#fff" stroke="#333"/>` +
        `<text x="${tx + Number(shift)}" y="${ty + 4}" text-anchor="${anchor}">${label}</text>`
      );
    });
  return [
    `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="7" fill="#f4f4ef" stroke="#555"/>`,
    `<text x="${x + width / 2}" y="${y + 18}" text-anchor="middle" font-weight="bold">${escape(title)}</text>`,
    ...names('left'),
    ...names('right'),
  ].join('\n');
}

function drawWire(
  wire: Wire,
  { modules, index, lit }: { modules: Module[]; index: number; lit: boolean },
): string {
  const [a, b] = [endOf(modules, wire.from), endOf(modules, wire.to)];
  const reach = 30 + Math.abs(b.x - a.x) * 0.28 + (index % 5) * 7;
  const path = `M${a.x} ${a.y}C${a.x + a.out * reach} ${a.y} ${b.x + b.out * reach} ${b.y} ${b.x} ${b.y}`;
  const colour = lit ? nets[wire.net]!.colour : GREY;
  const dashes = wire.uncut ? ' stroke-dasharray="14 5"' : '';
  return `<path d="${path}" fill="none" stroke="${colour}" stroke-width="${THICKNESS[wire.gauge]}"${dashes}/>`;
}

interface End {
  x: number;
  y: number;
  /** Which way a wire leaves: −1 left, 1 right. */
  out: -1 | 1;
}

function endOf(modules: Module[], end: string): End {
  const [id, terminal] = end.split('.') as [string, string];
  const module = modules.find((candidate) => candidate.id === id)!;
  const [x, y] = placeOf(module, terminal);
  return { x, y, out: module.left.includes(terminal) ? -1 : 1 };
}

function placeOf({ at: [x, y], size: [width], left, right }: Module, terminal: string): [number, number] {
  const isLeft = left.includes(terminal);
  const index = (isLeft ? left : right).indexOf(terminal);
  return [isLeft ? x : x + width, y + TITLE_HEIGHT + 12 + index * TERMINAL_PITCH];
}

function drawLegend(wires: Wire[]): string {
  const used = Object.keys(nets).filter((net) => wires.some((wire) => wire.net === net));
  const rows = used.map((net, index) => {
    const y = 575 + index * 16;
    return (
      `<path d="M400 ${y}h34" stroke="${nets[net]!.colour}" stroke-width="4"/>` +
      `<text x="442" y="${y + 4}" font-size="12">${escape(net)}: ${nets[net]!.name}</text>`
    );
  });
  return [...rows, '<text x="20" y="765" font-size="12">dashed: not cut</text>'].join('\n');
}

function escape(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}

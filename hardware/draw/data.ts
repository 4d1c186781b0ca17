// The hardware's data: parts, pins, wires, error terms; and what is asked of them in common. Owns
// the shapes of hardware/*.json. No I/O.

import budgetData from '../error-budget.json' with { type: 'json' };
import partsData from '../parts.json' with { type: 'json' };
import pinsData from '../pins.json' with { type: 'json' };
import wiringData from '../wiring.json' with { type: 'json' };

export const SUPPLIES = ['usb-c', 'barrel'] as const;
/** What feeds the node: USB-C at 5 V, or a barrel plug at 12 or 19 V. */
export type Supply = (typeof SUPPLIES)[number];

export interface Part {
  id: string;
  what: string;
  count: number;
  /** Of one piece, bought for one kit and for ten. */
  cents: number;
  centsAtTen: number;
  for: Supply[];
  alternatives: string[];
}

export interface Module {
  id: string;
  title: string;
  at: [x: number, y: number];
  size: [width: number, height: number];
  /** Names of terminals, from the top. */
  left: string[];
  right: string[];
  for: Supply[];
}

export interface Wire {
  net: string;
  /** `module.terminal`. */
  from: string;
  to: string;
  gauge: keyof typeof wiringData.gaugesSquareMm;
  /** A wire of the supply's lead that stays whole. */
  uncut?: boolean;
  for: Supply[];
}

export interface Step {
  title: string;
  text: string;
  /** The wires that are made in this step. */
  nets: string[];
  /** Of these, only the wires this thick; left out: all. */
  gauges?: string[];
}

export function isMadeIn({ nets: ofStep, gauges }: Step, { net, gauge }: Wire): boolean {
  return ofStep.includes(net) && (gauges === undefined || gauges.includes(gauge));
}

export const boards = pinsData.boards;
export type BoardName = keyof typeof boards;
export const archs = pinsData.archs;
export const parts = partsData.parts as Part[];
export const gaugesSquareMm = wiringData.gaugesSquareMm;
export const nets: Record<string, { colour: string; name: string }> = wiringData.nets;
export const steps: Step[] = wiringData.steps;
export const budget = budgetData;

/** Modules and wires of one kind of meter. */
export function wiringFor(supply: Supply): { modules: Module[]; wires: Wire[] } {
  const isOf = (thing: { for: string[] }): boolean => thing.for.includes(supply);
  return {
    modules: (wiringData.modules as Module[]).filter(isOf),
    wires: (wiringData.wires as Wire[]).filter(isOf),
  };
}

/** What is printed beside a terminal: on the board, the pin that the pin table gives it. */
export function terminalLabel(board: BoardName, module: string, terminal: string): string {
  if (module !== 'board') return terminal;
  const { pins, supply, logic, ground } = boards[board];
  const fixed: Record<string, string> = { supply, logic, ground };
  return fixed[terminal] ?? pins[terminal as keyof typeof pins].label;
}

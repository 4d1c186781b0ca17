// The commands of `kit`, and which folder each stands in. Only those that the command line may mean
// are loaded: most of the memory that a small command takes is the code of the others.

import type { Command } from 'commander';

/** In the order in which a kit is made. */
export const areas = [
  { names: ['new', 'wifi'], load: () => import('./campaign/command.ts') },
  { names: ['image'], load: () => import('./image/command.ts') },
  { names: ['drives', 'flash'], load: () => import('./drive/command.ts') },
  { names: ['configure'], load: () => import('./node/command.ts') },
  { names: ['meter'], load: () => import('./meter/command.ts') },
  { names: ['price'], load: () => import('./price/command.ts') },
  { names: ['check'], load: () => import('./check/command.ts') },
  { names: ['label'], load: () => import('./label/command.ts') },
  { names: ['handover', 'retire'], load: () => import('./handover/command.ts') },
  { names: ['restore'], load: () => import('./restore/command.ts') },
  { names: ['make'], load: () => import('./make/command.ts') },
  { names: ['try', 'clean'], load: () => import('./try/command.ts') },
];

/** @param words of the command line; where they name no command, all are loaded, for its help */
export async function loadCommands(words: readonly string[]): Promise<Command[]> {
  const meant = areas.filter(({ names }) => names.some((name) => words.includes(name)));
  const asksForAll = meant.length === 0 || words.includes('help');
  const loaded = await Promise.all((asksForAll ? areas : meant).map(({ load }) => load()));
  return loaded.flatMap((area) => area.commands());
}

// What a meter costs: for one kit, and for one of ten. No I/O.

import { parts, SUPPLIES, type Supply } from './data.ts';

export interface BillTotals {
  cents: number;
  /** Of one kit when parts for ten are bought. */
  centsAtTen: number;
}

export function totals(supply: Supply): BillTotals {
  const used = parts.filter((part) => part.for.includes(supply));
  const sum = (price: 'cents' | 'centsAtTen'): number =>
    used.reduce((total, part) => total + part.count * part[price], 0);
  return { cents: sum('cents'), centsAtTen: sum('centsAtTen') };
}

/** As a Markdown page. */
export function billPage(): string {
  const rows = parts.map(
    (part) =>
      `| ${part.count} | ${part.what} | ${part.for.join(', ')} | ${euro(part.cents)} | ` +
      `${euro(part.centsAtTen)} | ${part.alternatives.join('; ') || '–'} |`,
  );
  const sums = SUPPLIES.map((supply) => {
    const { cents, centsAtTen } = totals(supply);
    return `| **${supply}** | ${euro(cents)} | ${euro(centsAtTen)} | ${euro(10 * centsAtTen)} |`;
  });
  return `# Bill of materials

Made of \`hardware/parts.json\` by \`npm run hardware\`. Prices are estimates in euro with tax, without postage.

| pieces | part | supply | each, for one kit | each, for ten | instead |
|---|---|---|---|---|---|
${rows.join('\n')}

| meter for | one kit | one of ten kits | ten kits |
|---|---|---|---|
${sums.join('\n')}
`;
}

function euro(cents: number): string {
  return (cents / 100).toFixed(2);
}

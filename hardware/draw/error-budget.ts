// How far a calibrated meter may err, term by term: each term is a bound, taken as evenly spread
// (JCGM 100, 4.3.7), all are combined as independent (5.1.2) and doubled, for 95 % (6.2.1). The plain
// sum stands beside it: what no meter within its parts' bounds exceeds. No I/O.

import { budget } from './data.ts';

export interface Uncertainty {
  supply: string;
  loadMilliW: number;
  /** Relative, in parts per million. */
  terms: { name: string; boundPpm: number }[];
  /** At 95 %. */
  expandedPpm: number;
  sumPpm: number;
}

/** Every load that every supply can feed. */
export function uncertainties(): Uncertainty[] {
  return budget.supplies.flatMap((supply) =>
    budget.loadsMilliW
      .filter((loadMilliW) => loadMilliW <= supply.mostMilliW)
      .map((loadMilliW) => uncertainty(supply, loadMilliW)),
  );
}

function uncertainty(supply: { name: string; milliV: number }, loadMilliW: number): Uncertainty {
  const milliA = (loadMilliW * 1000) / supply.milliV;
  const shuntNanoV = milliA * budget.shuntMicroOhm;
  const terms = budget.terms.map((term) => ({
    name: term.name,
    boundPpm: boundPpm(term, { shuntNanoV, busMicroV: supply.milliV * 1000 }),
  }));
  const squares = terms.reduce((sum, term) => sum + term.boundPpm ** 2 / 3, 0);
  return {
    ...{ supply: supply.name, loadMilliW, terms, expandedPpm: 2 * Math.sqrt(squares) },
    sumPpm: terms.reduce((sum, term) => sum + term.boundPpm, 0),
  };
}

/** Which of these a term has, its `of` says: `reading`, `shunt`, `bus`. */
interface Term {
  ppm?: number;
  ppmPerKelvin?: number;
  nanoV?: number;
  nanoVPerKelvin?: number;
  microV?: number;
  microVPerKelvin?: number;
}

function boundPpm(term: Term, at: { shuntNanoV: number; busMicroV: number }): number {
  const kelvin = budget.kelvinFromCalibration;
  const { ppm = 0, ppmPerKelvin = 0, nanoV = 0, nanoVPerKelvin = 0, microV = 0, microVPerKelvin = 0 } =
    term;
  const relative = ppm + ppmPerKelvin * kelvin;
  const shunt = (nanoV + nanoVPerKelvin * kelvin) / at.shuntNanoV;
  const bus = (microV + microVPerKelvin * kelvin) / at.busMicroV;
  return relative + 1e6 * (shunt + bus);
}

/** As a Markdown page. */
export function budgetPage(): string {
  const all = uncertainties();
  const worst = all.reduce((a, b) => (a.expandedPpm > b.expandedPpm ? a : b));
  const percent = (ppm: number): string => `${(ppm / 10_000).toFixed(2)} %`;
  const rows = all.map(
    ({ supply, loadMilliW, expandedPpm, sumPpm }) =>
      `| ${supply} | ${loadMilliW / 1000} W | ±${percent(expandedPpm)} | ±${percent(sumPpm)} |`,
  );
  const terms = worst.terms.map(({ name, boundPpm: bound }, index) => {
    return `| ${name} | ${budget.terms[index]!.source} | ${percent(bound)} |`;
  });
  return `# Error budget

Made of \`hardware/error-budget.json\` by \`npm run hardware\`. For a meter calibrated at two points as in
[calibration.md](../calibration.md), up to ${budget.kelvinFromCalibration} K away from where it was calibrated. At 95 %: bounds evenly spread, independent, coverage factor 2 (JCGM 100).

| supply | load | at 95 % | if everything conspires |
|---|---|---|---|
${rows.join('\n')}

The worst of these, ${worst.supply} at ${worst.loadMilliW / 1000} W, term by term:

| term | from | bound |
|---|---|---|
${terms.join('\n')}
`;
}

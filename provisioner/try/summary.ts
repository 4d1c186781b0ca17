// What a journey ends with: one document for programs, one page for people. Pure.

import type { StepTime } from './display.ts';
import type { Travelled } from './journey.ts';
import { DOMAIN, KIT, LEDGER_ORIGIN } from './trial.ts';

export interface Summary {
  ok: boolean;
  steps: StepTime[];
  kit: string;
  node: { address: string; domain: string; accelerator: string };
  meter: {
    id: string;
    /** Trial seconds in a real one. */
    rate: number;
    mean_milli_w: number;
    energy_micro_wh: number;
    chip_energy_micro_wh: number;
    energy_difference_ppm: number;
    power_cuts: number;
    lost_to_cuts_micro_wh: number;
    up_s: number;
    down_s: number;
    unknown_s: number;
    wan_in_bytes: number;
    wan_out_bytes: number;
  };
  ledger: { origin: string; url: string; entries: number; batches: number; root: string };
  survived: string[];
  check: { fit: boolean; failed: number; unknown: number };
  audit: {
    ok: boolean;
    disclosed: number;
    withheld: number;
    missing: number;
    /** Of the owner, each an entry. */
    requests: number;
    findings: unknown[];
  };
  label: string[];
  page: string;
}

export function summarise(
  travelled: Travelled,
  facts: { steps: StepTime[]; address: string; rate: number },
): Summary {
  const { node, meter, ledger, survived, proof } = travelled;
  const { after } = survived;
  const record = meter.newest();
  const { fit, failed, unknown } = proof.check;
  const { audit } = proof;
  return {
    ok: true,
    steps: facts.steps,
    kit: KIT,
    node: { address: facts.address, domain: DOMAIN, accelerator: node.accelerator() },
    meter: {
      id: meter.id,
      rate: facts.rate,
      mean_milli_w: Math.round((after.ledgerMicroWh * 3.6) / after.meterS),
      energy_micro_wh: after.ledgerMicroWh,
      chip_energy_micro_wh: after.chipMicroWh,
      energy_difference_ppm: after.differencePpm,
      power_cuts: after.lostMicroWh.length,
      lost_to_cuts_micro_wh: after.lostMicroWh.reduce((sum, lost) => sum + lost, 0),
      ...{ up_s: record.upS, down_s: record.downS, unknown_s: record.unknownS },
      wan_in_bytes: after.ledgerTraffic.wanInBytes,
      wan_out_bytes: after.ledgerTraffic.wanOutBytes,
    },
    ledger: {
      ...{ origin: LEDGER_ORIGIN, url: ledger.url },
      ...{ entries: audit.size, batches: audit.entries.batches, root: audit.root },
    },
    survived: survived.faults,
    check: { fit, failed, unknown },
    audit: {
      ok: audit.ok,
      ...{ disclosed: audit.blobs.disclosed, withheld: audit.blobs.withheld },
      ...{ missing: audit.blobs.missing, requests: audit.requests.length, findings: audit.findings },
    },
    label: proof.label,
    page: proof.page,
  };
}

/** The page for people; `address` is where the node's page is open, undefined when nothing is. */
export function describe(summary: Summary, address: string | undefined): string {
  const { meter, ledger, audit, check, node } = summary;
  const seconds = summary.steps.reduce((sum, step) => sum + step.seconds, 0);
  const rows: [string, string][] = [
    ['kit', `${summary.kit}, fit to ship (${check.unknown} things cannot be seen from here)`],
    ['node', `${node.domain} at ${node.address} (${node.accelerator})`],
    ['measured', `${(meter.mean_milli_w / 1000).toFixed(2)} W mean, ${wattHours(meter)}`],
    ['reachable', `${meter.up_s} s up, ${meter.down_s} s down, ${meter.unknown_s} s unknown`],
    ['claimed', `${meter.wan_in_bytes} B in, ${meter.wan_out_bytes} B out: as the node served`],
    ['survived', summary.survived.join(', ')],
    ['ledger', `${ledger.batches} batches in ${ledger.entries} entries, ${ledger.origin}`],
    ['audit', `passed: ${audit.disclosed} disclosed, ${audit.withheld} withheld, 0 missing`],
    ['owner', `asked ${audit.requests === 1 ? 'once' : `${audit.requests} times`}, told by the audit`],
    ['time', `${Math.round(seconds)} s; the meter's ran ${meter.rate} times as fast`],
  ];
  if (address !== undefined) rows.push(['page', address]);
  const lines = rows.map(([name, text]) => `  ${name.padEnd(10)} ${text}`);
  return ['The journey holds.', ...lines].join('\n');
}

function wattHours(meter: Summary['meter']): string {
  const wattHoursText = (meter.energy_micro_wh / 1e6).toFixed(4);
  const { energy_difference_ppm: ppm, power_cuts: cuts, lost_to_cuts_micro_wh: lost } = meter;
  return `${wattHoursText} Wh, ${ppm} ppm from the chip's own; ${cuts} cuts cost ${lost} µWh`;
}

// The bench's lead to a meter that is being paired: three things that USB offers on a board, and the
// virtual meter's bus and console offer without one.

import type { VirtualMeter } from '../virtual/meter.ts';

export interface MeterPort {
  /** Resolves once the meter has read the same value back. */
  writeSetting(key: string, value: Uint8Array): Promise<void>;
  /** Takes the power away and gives it again: settings are read at boot. */
  restart(): Promise<void>;
  /** Hears what the meter prints, until the returned function is called. */
  onLine(listen: (line: string) => void): () => void;
  /** How well the meter's key is vouched for, as the enrolment states it. */
  assurance: 'bench-usb' | 'virtual';
}

export function virtualPort(meter: VirtualMeter): MeterPort {
  return {
    assurance: 'virtual',
    writeSetting: meter.writeSetting,
    onLine: meter.onLine,
    async restart() {
      await meter.cutPower();
      meter.powerOn();
    },
  };
}

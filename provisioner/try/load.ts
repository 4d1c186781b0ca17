// What the trial's node draws from its supply: the idle power of a small board computer and, on top,
// a share for its processors' work, taken from the virtual machine's real use of the bench's. Powers
// of a Raspberry Pi 4: 2.7 W idle, 7.7 W with all cores busy.

export const IDLE_MILLI_W = 2700;
export const BUSY_MILLI_W = 5000;

export interface Load {
  /** Power now, mW; 0 while unplugged. */
  milliW(): number;
  /** Takes a sample of the processor time used so far; call it about twice a second. */
  sample(cpuSeconds: number, realMs: number): void;
  /** No machine, or its lead pulled out of the meter. */
  unplug(): void;
  plugIn(): void;
}

/** @param cpus how many processors the machine has: all of them busy is full power */
export function createLoad(cpus: number): Load {
  let last: { cpuSeconds: number; realMs: number } | undefined;
  let share = 0;
  let plugged = false;
  return {
    milliW: () => (plugged ? Math.round(IDLE_MILLI_W + BUSY_MILLI_W * share) : 0),
    sample(cpuSeconds, realMs) {
      if (last && realMs > last.realMs && cpuSeconds >= last.cpuSeconds) {
        const used = (cpuSeconds - last.cpuSeconds) / ((realMs - last.realMs) / 1000);
        share = Math.min(1, used / cpus);
      }
      last = { cpuSeconds, realMs };
    },
    unplug() {
      plugged = false;
      last = undefined;
    },
    plugIn() {
      plugged = true;
    },
  };
}

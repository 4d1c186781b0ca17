// The meter's FRAM as its parts see it: bytes by address, and every write kept, so that a test can
// tear each of them.

export class Memory {
  bytes: Buffer;
  writes: { address: number; bytes: Buffer }[] = [];

  /** What it holds at first is nobody's. */
  constructor(sizeBytes: number) {
    this.bytes = Buffer.alloc(sizeBytes, 0xa5);
  }

  async read(address: number, length: number): Promise<Buffer> {
    return Buffer.from(this.bytes.subarray(address, address + length));
  }

  /** This bus never lies. */
  async readSure(_address: number, first: Buffer): Promise<Buffer> {
    return first;
  }

  async write(address: number, bytes: Buffer): Promise<void> {
    if (address < 0 || address + bytes.length > this.bytes.length) {
      throw new Error(`outside: ${address}`);
    }
    this.bytes.set(bytes, address);
    this.writes.push({ address, bytes: Buffer.from(bytes) });
  }
}

// Base 64 as C2SP wants it: RFC 4648 § 4, padded, one spelling for each value.

/**
 * The bytes of `text`, or undefined unless encoding them again gives `text` (no loose bits, no
 * spaces).
 */
export function decodeBase64(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? new Uint8Array(bytes) : undefined;
}

export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

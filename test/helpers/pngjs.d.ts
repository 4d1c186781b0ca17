// The part of pngjs that the tests use; it brings no types of its own.

declare module 'pngjs' {
  export const PNG: {
    sync: { read(png: Uint8Array): { width: number; height: number; data: Buffer } };
  };
}

// The package has no types of its own.

declare module '@jscad/stl-serializer' {
  const serializer: {
    serialize(options: { binary: true }, ...solids: object[]): ArrayBuffer[];
  };
  export default serializer;
}

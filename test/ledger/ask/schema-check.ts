// As much of JSON Schema as the OpenAPI document uses, to hold answers against it.

type Schema = Record<string, any>;

/** Where `value` does not fit `schema`, in words; empty if it does. */
export function misfits(schema: Schema, value: unknown, where = '$'): string[] {
  const found: string[] = [];
  const type = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
  const types = [schema.type ?? type].flat()
    .map((name) => (name === 'integer' && Number.isInteger(value) ? 'number' : name));
  if (!types.includes(type)) return [`${where}: ${type} is not ${types.join(' or ')}`];
  if (schema.enum && !schema.enum.includes(value)) found.push(`${where}: ${value} is not listed`);
  if (schema.minimum !== undefined && value !== null && (value as number) < schema.minimum) {
    found.push(`${where}: ${value} is below ${schema.minimum}`);
  }
  if (typeof value === 'string' && schema.pattern && !new RegExp(schema.pattern).test(value)) {
    found.push(`${where}: ${value} is not like ${schema.pattern}`);
  }
  if (typeof value === 'string' && schema.format === 'date-time' && !/^\d{4}-.*T.*Z$/.test(value)) {
    found.push(`${where}: ${value} is no time`);
  }
  if (type === 'array' && schema.items) {
    (value as unknown[]).forEach((item, i) => found.push(...misfits(schema.items, item, `${where}[${i}]`)));
  }
  if (type === 'object') found.push(...memberMisfits(schema, value as Schema, where));
  return found;
}

function memberMisfits(schema: Schema, value: Schema, where: string): string[] {
  const known: Schema = schema.properties ?? {};
  const absent = (schema.required ?? []).filter((name: string) => !(name in value));
  const extra = schema.additionalProperties === false
    ? Object.keys(value).filter((name) => !(name in known))
    : [];
  return [
    ...absent.map((name: string) => `${where}.${name} is absent`),
    ...extra.map((name) => `${where}.${name} is not described`),
    ...Object.keys(known).filter((name) => name in value)
      .flatMap((name) => misfits(known[name], value[name], `${where}.${name}`)),
  ];
}

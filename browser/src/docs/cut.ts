/**
 * Objects of the API refer to one another in circles, since an id may be expanded to what it names. The viewer writes out all that a schema refers to before it
 * shows any, and would take minutes. So within an object others are named only.
 */

type Schema = { [key: string]: unknown };
interface Form { schema: Schema; encoding?: Record<string, { style: string; explode: boolean }> }
interface Body { content: Record<string, Form> }
interface Operation { requestBody?: Body }
interface Components { schemas: Record<string, Schema>; responses: Record<string, Schema> }
export interface Described { components: Components; paths: Record<string, Record<string, Operation>> }

const PREFIX = '#/components/schemas/';
/** All refusals look alike: one of them shows how. */
const SHOWN_WHOLE = 'BadRequest';
const FORM = 'application/x-www-form-urlencoded';

/** The same description, in which no object holds another one whole, and whose operations take forms, field by field. */
export function cut<Document extends Described>(document: Document): Document {
  const { schemas } = document.components;
  const isObject = (name: string) => {
    const properties = schemas[name]?.properties as Record<string, Schema> | undefined;
    return properties?.object?.enum !== undefined && properties.id !== undefined;
  };
  const known = Object.entries(schemas).map(([name, schema]) => [name, named(schema, isObject) as Schema] as const);
  const responses = Object.fromEntries(Object.entries(document.components.responses).map(([name, each]) => [name, name === SHOWN_WHOLE ? each : { description: each.description }]));
  const made = { ...document, components: { ...document.components, schemas: Object.fromEntries(known), responses } };
  for (const { requestBody } of Object.values(document.paths).flatMap((path) => Object.values(path))) {
    const form = requestBody?.content[FORM];
    if (requestBody === undefined || form === undefined) continue;
    const properties = fields(form.schema, schemas, '', true).sort(([, , left], [, , right]) => Number(right) - Number(left));
    const required = properties.flatMap(([name, , isRequired]) => (isRequired ? [name] : []));
    const schema = { type: 'object', properties: Object.fromEntries(properties.map(empty)), ...(required.length > 0 && { required }) };
    const lists = properties.flatMap(([name, { type }]) => (type === 'array' ? [[name, { style: 'form', explode: true }]] : []));
    requestBody.content = { [FORM]: { schema, encoding: Object.fromEntries(lists) as Form['encoding'] } };
  }
  return made;
}

/** Empty at first: else the viewer fills in each field by itself. What isn't sent has its default anyway. */
function empty([name, { default: otherwise, ...schema }]: Field): [string, Schema] {
  const said = [schema.description, otherwise === undefined || otherwise === '' ? undefined : `Default: ${String(otherwise)}.`].filter(Boolean).join(' ');
  return [name, { ...schema, ...(said !== '' && { description: said }), example: schema.type === 'array' ? [] : '' }];
}

type Field = [name: string, schema: Schema, isRequired: boolean];

/** The fields of a form as they are sent, `card[number]` among them. What the merchant names himself, metadata, is one field. */
function fields(schema: Schema, schemas: Record<string, Schema>, name: string, isRequired: boolean): Field[] {
  const whole = typeof schema.$ref === 'string' ? schemas[schema.$ref.slice(PREFIX.length)]! : schema;
  const text = { type: 'string', description: 'A hash, as JSON.' };
  if (Array.isArray(whole.anyOf)) {
    const all = (whole.anyOf as Schema[]).flatMap((each) => fields(each, schemas, name, isRequired));
    const own = all.filter(([field, { enum: values }]) => field !== name || JSON.stringify(values) !== '[""]');
    return own.length > 1 && own.every(([field]) => field === name) ? [[name, { ...whole, anyOf: own.map(([, each]) => each) }, isRequired]] : own;
  }
  if (whole.properties !== undefined) {
    const required = (whole.required ?? []) as string[];
    return Object.entries(whole.properties as Record<string, Schema>).flatMap(([key, each]) =>
      fields(each, schemas, name === '' ? key : `${name}[${key}]`, isRequired && required.includes(key)));
  }
  if (whole.type === 'object') return name === '' ? [] : [[name, text, isRequired]];
  if (whole.type !== 'array') return [[name, whole, isRequired]];
  const inner = fields(whole.items as Schema, schemas, `${name}[0]`, isRequired);
  return inner.length === 1 && inner[0]![0] === `${name}[0]` ? [[`${name}[]`, { ...whole, items: inner[0]![1] }, isRequired]] : inner;
}

function named(schema: unknown, isObject: (name: string) => boolean): unknown {
  if (Array.isArray(schema)) return schema.map((each) => named(each, isObject));
  if (typeof schema !== 'object' || schema === null) return schema;
  const { $ref, anyOf } = schema as Schema;
  if (typeof $ref === 'string') return isObject($ref.slice(PREFIX.length)) ? { type: 'object', description: $ref.slice(PREFIX.length) } : schema;
  if (Array.isArray(anyOf)) return alternatives(anyOf as Schema[], schema as Schema, isObject);
  return Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, named(value, isObject)]));
}

/** An id that may be expanded is an id; what it expands to is said of it. */
function alternatives(all: Schema[], schema: Schema, isObject: (name: string) => boolean): unknown {
  const names = all.flatMap(({ $ref }) => (typeof $ref === 'string' && isObject($ref.slice(PREFIX.length)) ? [$ref.slice(PREFIX.length)] : []));
  const [id] = all.filter(({ type }) => type === 'string');
  if (names.length === 0) return { ...schema, anyOf: all.map((each) => named(each, isObject)) };
  const isNullable = all.some(({ type }) => type === 'null');
  const described = id === undefined ? { type: 'object', description: names.join(' or ') } : { ...id, description: `Expanded: ${names.join(' or ')}` };
  return isNullable ? { ...described, type: [described.type, 'null'] } : described;
}

import {
  getNamedType,
  isEnumType,
  isInputObjectType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  isRequiredArgument,
  type GraphQLInputType,
  type GraphQLOutputType,
  type GraphQLSchema,
  type OperationTypeNode,
} from 'graphql';

export type RootType = 'query' | 'mutation' | 'subscription';

/** One field of a root type, asked for with all that it needs. */
export interface Operation {
  /** `Query.node` or `Mutation.adjustBalance(projectId)`. */
  name: string;
  type: RootType;
  field: string;
  args: { name: string; type: string; value: unknown }[];
  selection: string;
  /** Whether it was given the id. */
  takesId: boolean;
}

/** Texts that pass where the schema says no more than String. */
const TEXTS: Record<string, string> = { email: 'somebody@example.com', slug: 'a-slug', keyPrefix: 'acme', service: 'face', permission: 'face.never', upstreamUrl: 'https://upstream.invalid/' };

/**
 * Every query and mutation that a schema has, or what other types of operations are named, so that a test of all of them misses none that comes later. Each id that one asks for is `id`, or
 * what `id` makes of the argument's name and the field's; where ids are optional there is one operation for each. `text`, where it is given, stands for every other text.
 */
export function operationsOf(schema: GraphQLSchema, id: string | ((argument: string, field: string) => string), text?: string, types: RootType[] = ['query', 'mutation']): Operation[] {
  const operations: Operation[] = [];
  for (const type of types) {
    const root = schema.getRootType(type as OperationTypeNode);
    for (const field of Object.values(root?.getFields() ?? {})) {
      const required = field.args.filter(isRequiredArgument);
      const optional = field.args.filter((arg) => !isRequiredArgument(arg) && getNamedType(arg.type).name === 'ID');
      const optionalIds = required.flatMap((arg) => optionalIdsOf(arg.type));
      const variants = optionalIds.length > 0 ? optionalIds : [undefined, ...optional.map(({ name }) => name)];
      for (const optionalId of variants) {
        const given = [...required, ...optional.filter(({ name }) => name === optionalId)];
        const filler = new Filler((argument) => (typeof id === 'string' ? id : id(argument, `${root?.name}.${field.name}`)), text, optionalId);
        const args = given.map((arg) => ({ name: arg.name, type: arg.type.toString(), value: filler.valueOf(arg.type, arg.name) }));
        const name = `${root?.name}.${field.name}${optionalId ? `(${optionalId})` : ''}`;
        const { takesId } = filler;
        operations.push({ name, type, field: field.name, args, selection: takesId ? '{ __typename }' : selectionOf(field.type), takesId });
      }
    }
  }
  return operations;
}

/** Operations of one type as one request; the answer to the first is `o0` in its data, to the second `o1`. */
export function requestOf(operations: Operation[]): { query: string; variables: Record<string, unknown> } {
  const args = operations.map((operation, index) => operation.args.map((arg) => ({ ...arg, variable: `o${index}_${arg.name}` })));
  const declared = args.flat().map(({ variable, type }) => `$${variable}: ${type}`);
  const fields = operations.map(({ field, selection }, index) => {
    const given = args[index]?.map(({ name, variable }) => `${name}: $${variable}`).join(', ');
    return `o${index}: ${field}${given && `(${given})`} ${selection}`;
  });
  return {
    query: `${operations[0]?.type} ${declared.length > 0 ? `(${declared.join(', ')})` : ''} { ${fields.join('\n')} }`,
    variables: Object.fromEntries(args.flat().map(({ variable, value }) => [variable, value])),
  };
}

/** The most fields at the top of one request (MAX_ROOT_FIELDS). */
const IN_ONE_REQUEST = 50;

/** Operations of one type, in as many lots as there have to be requests. */
export function lotsOf(operations: Operation[]): Operation[][] {
  return Array.from({ length: Math.ceil(operations.length / IN_ONE_REQUEST) }, (_, lot) => operations.slice(lot * IN_ONE_REQUEST, (lot + 1) * IN_ONE_REQUEST));
}

/** An answer's text, but for what is left of a budget that refills while it is asked. */
export const withoutClock = (body: string): string => body.replace(/"left":\d+/g, '"left":0');

function optionalIdsOf(type: GraphQLInputType): string[] {
  const named = getNamedType(type);
  if (!isInputObjectType(named)) return [];
  return Object.values(named.getFields()).flatMap((field) => (!isNonNullType(field.type) && getNamedType(field.type).name === 'ID' ? [field.name] : []));
}

class Filler {
  takesId = false;

  constructor(
    private readonly idOf: (argument: string) => string,
    private readonly text: string | undefined,
    private readonly optionalId: string | undefined,
  ) {}

  valueOf(type: GraphQLInputType, name: string): unknown {
    if (isNonNullType(type)) return this.valueOf(type.ofType, name);
    if (name === 'redirectUris') return ['https://app.example/back']; // at least one
    if (isListType(type)) return getNamedType(type).name === 'ID' ? [this.valueOf(type.ofType, name)] : [];
    if (isEnumType(type)) return type.getValues()[0]?.name;
    if (isInputObjectType(type)) {
      const fields = Object.values(type.getFields()).filter((field) => isNonNullType(field.type) || field.name === this.optionalId);
      return Object.fromEntries(fields.map((field) => [field.name, this.valueOf(field.type, field.name)]));
    }
    switch (type.name) {
      case 'ID':
        this.takesId = true;
        return this.idOf(name);
      case 'String':
        return this.text ?? TEXTS[name] ?? 'Text';
      case 'Boolean':
        return true;
      case 'DateTime':
        return '2099-01-01T00:00:00Z';
      default:
        return 1;
    }
  }
}

/** What an object says of itself for no argument, and the nodes of a list. */
function selectionOf(output: GraphQLOutputType): string {
  const type = getNamedType(output);
  if (isLeafType(type)) return '';
  const fields = isObjectType(type) ? Object.values(type.getFields()) : [];
  const leaves = fields.filter((field) => isLeafType(getNamedType(field.type)) && !field.args.some(isRequiredArgument)).map(({ name }) => name);
  const nodes = fields.filter(({ name }) => name === 'nodes').map((field) => `nodes ${selectionOf(field.type)}`);
  return `{ __typename ${[...leaves, ...nodes].join(' ')} }`;
}

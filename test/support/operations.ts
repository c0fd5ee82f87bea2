import {
  getNamedType,
  isEnumType,
  isInputObjectType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  isRequiredArgument,
  isRequiredInputField,
  type GraphQLInputType,
  type GraphQLOutputType,
  type GraphQLSchema,
  type OperationTypeNode,
} from 'graphql';

export type RootType = 'query' | 'mutation' | 'subscription';

/** One field of a root type, with values for its arguments and a selection. */
export interface Operation {
  /** `Query.node` or `Mutation.adjustBalance(projectId)`. */
  name: string;
  type: RootType;
  field: string;
  args: { name: string; type: string; value: unknown }[];
  selection: string;
  /** Whether one of its arguments is the id. */
  takesId: boolean;
}

/** Valid texts for arguments of type String that services check further. */
const TEXTS: Record<string, string> = {
  email: 'somebody@example.com',
  slug: 'a-slug',
  keyPrefix: 'acme',
  service: 'face',
  permission: 'face.never',
  upstreamUrl: 'https://upstream.invalid/',
  path: '/routed',
};

/**
 * Returns all operations of the given types, so that a test of all operations includes those that are added later. Each argument that is an
 * id gets `id`, or the result of `id` for the names of argument and field. Each optional id gets a separate operation. If `text` is given,
 * all other texts are `text`.
 */
export function operationsOf(
  schema: GraphQLSchema,
  id: string | ((argument: string, field: string) => string),
  text?: string,
  types: RootType[] = ['query', 'mutation'],
): Operation[] {
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
        const idOf = (argument: string) => (typeof id === 'string' ? id : id(argument, `${root?.name}.${field.name}`));
        const filler = new Filler(idOf, text, optionalId);
        const args = given.map((arg) => ({ name: arg.name, type: arg.type.toString(), value: filler.valueOf(arg.type, arg.name) }));
        const name = `${root?.name}.${field.name}${optionalId ? `(${optionalId})` : ''}`;
        const { takesId } = filler;
        operations.push({ name, type, field: field.name, args, selection: takesId ? '{ __typename }' : selectionOf(field.type), takesId });
      }
    }
  }
  return operations;
}

/** Joins operations of one type to one request. The answer has `o0` for the first operation, `o1` for the second. */
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

/** Maximum number of top-level fields in one request (MAX_ROOT_FIELDS). */
const IN_ONE_REQUEST = 50;

/** Splits operations of one type into lots of one request each. */
export function lotsOf(operations: Operation[]): Operation[][] {
  const count = Math.ceil(operations.length / IN_ONE_REQUEST);
  return Array.from({ length: count }, (_, lot) => operations.slice(lot * IN_ONE_REQUEST, (lot + 1) * IN_ONE_REQUEST));
}

/** Removes `left` from an answer's text: the points budget refills with time, so the number varies. */
export const withoutClock = (body: string): string => body.replace(/"left":\d+/g, '"left":0');

function optionalIdsOf(type: GraphQLInputType): string[] {
  const named = getNamedType(type);
  if (!isInputObjectType(named)) return [];
  const optional = Object.values(named.getFields()).filter(({ type: fieldType }) => !isNonNullType(fieldType));
  return optional.filter((field) => getNamedType(field.type).name === 'ID').map(({ name }) => name);
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
      const fields = Object.values(type.getFields()).filter((field) => isRequiredInputField(field) || field.name === this.optionalId);
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

/** Selects the scalar fields without required arguments, and the nodes of a list. */
function selectionOf(output: GraphQLOutputType): string {
  const type = getNamedType(output);
  if (isLeafType(type)) return '';
  const fields = isObjectType(type) ? Object.values(type.getFields()) : [];
  const isSelectable = (field: (typeof fields)[number]) => isLeafType(getNamedType(field.type)) && !field.args.some(isRequiredArgument);
  const leaves = fields.filter(isSelectable).map(({ name }) => name);
  const nodes = fields.filter(({ name }) => name === 'nodes').map((field) => `nodes ${selectionOf(field.type)}`);
  return `{ __typename ${[...leaves, ...nodes].join(' ')} }`;
}

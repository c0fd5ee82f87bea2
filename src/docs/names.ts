import {
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
  type GraphQLNamedType,
  type GraphQLSchema,
} from 'graphql';

/** The pages of the manual and their titles. */
export const PAGES = {
  'index.html': 'Overview',
  'queries.html': 'Queries',
  'mutations.html': 'Mutations',
  'subscriptions.html': 'Subscriptions',
  'types.html': 'Types',
  'inputs.html': 'Inputs',
  'enums.html': 'Enums and scalars',
  'rest.html': 'REST',
  'errors.html': 'Errors',
  'limits.html': 'Limits',
} as const;

export type PageName = keyof typeof PAGES;

const ROOTS: Record<string, PageName> = { Query: 'queries.html', Mutation: 'mutations.html', Subscription: 'subscriptions.html' };

/** The address of each name, such as `ApiKey`, `ApiKey.hint` and `Query.key`. A root field also has its name alone, such as `key`. */
export class Names {
  private readonly addresses = new Map<string, string>();

  constructor(schema: GraphQLSchema, codes: readonly string[]) {
    for (const type of typesOf(schema)) {
      const root = ROOTS[type.name];
      const page = root ?? pageOf(type);
      this.addresses.set(type.name, root ?? `${page}#${type.name}`);
      for (const part of partsOf(type)) {
        this.addresses.set(`${type.name}.${part}`, root ? `${page}#${part}` : `${page}#${type.name}.${part}`);
        if (root) this.addresses.set(part, `${page}#${part}`);
      }
    }
    for (const code of codes) this.addresses.set(code, `errors.html#${code}`);
  }

  /** The address of a name, relative to any page, or undefined if the name is unknown. */
  addressOf(name: string): string | undefined {
    return this.addresses.get(name);
  }

  /** All types, root fields and codes with their addresses, sorted by name. */
  all(): [string, string][] {
    const indexed = [...this.addresses].filter(([name]) => !name.includes('.') && !(name in ROOTS));
    return indexed.sort(([left], [right]) => left.localeCompare(right, 'en'));
  }
}

/** The types of a schema except the introspection types, sorted by name. */
export function typesOf(schema: GraphQLSchema): GraphQLNamedType[] {
  return Object.values(schema.getTypeMap())
    .filter((type) => !isIntrospectionType(type))
    .sort((left, right) => left.name.localeCompare(right.name, 'en'));
}

export function pageOf(type: GraphQLNamedType): PageName {
  if (isInputObjectType(type)) return 'inputs.html';
  return isObjectType(type) || isInterfaceType(type) ? 'types.html' : 'enums.html';
}

function partsOf(type: GraphQLNamedType): string[] {
  if (isEnumType(type)) return type.getValues().map(({ name }) => name);
  return isObjectType(type) || isInterfaceType(type) || isInputObjectType(type) ? Object.keys(type.getFields()) : [];
}

import { Extensions, Field, ID, InputType, Int, InterfaceType, ObjectType, registerEnumType, type ClassType } from 'type-graphql';
import { MAX_COUNTED } from './page-sizes';

/** Marks a field that is shown only once. The answer to a repeat of the request has null. */
export const ShownOnce = () => Extensions({ shownOnce: true });

/** States the maximum number of items of a list without pages. The estimated price of the list depends on it. */
export const MaxItems = (maxItems: number) => Extensions({ maxItems });

/** Returns the value of MaxItems on a field. */
export const maxItemsOf = ({ extensions }: { extensions: object }): number | undefined => (extensions as { maxItems?: number }).maxItems;

@InterfaceType({ description: 'An object with an id, which `Query.node` can find.' })
export abstract class Node {
  @Field(() => ID, { description: 'Opaque id: at most 64 characters of 0-9A-Za-z_-. Begins with its type.' })
  id: string;
}

@ObjectType({ description: 'The position of a page in its list.' })
export class PageInfo {
  @Field({ description: 'Whether there are objects after this page.' })
  hasNextPage: boolean;

  @Field({ description: 'Whether there are objects before this page.' })
  hasPreviousPage: boolean;

  @Field(() => String, {
    nullable: true,
    description: 'The cursor of the first edge. Pass it as `before` to read backwards. Null on an empty page.',
  })
  startCursor: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'The cursor of the last edge. Pass it as `after` to read on. Null on an empty page.',
  })
  endCursor: string | null;

  @Field({
    description:
      'Whether the page ended before it was full, because a filter without an index skipped very many objects. The page may be empty, ' +
      'and more objects may follow. The cursor at its end is the place that was reached: use it to read on as usual.',
  })
  isCutShort: boolean;
}

/** The number of rows in a list, counted up to a limit. */
export interface Count {
  /** The number of rows, or a lower bound if `isExact` is false. */
  total: number;
  isExact: boolean;
}

export enum OrderDirection {
  ASC = 'ASC',
  DESC = 'DESC',
}
registerEnumType(OrderDirection, {
  name: 'OrderDirection',
  description: 'The direction in which a list is ordered.',
  valuesConfig: { ASC: { description: 'Smallest or oldest first.' }, DESC: { description: 'Largest or newest first.' } },
});

export enum NamedOrderField {
  CREATED_AT = 'CREATED_AT',
  NAME = 'NAME',
}
registerEnumType(NamedOrderField, {
  name: 'NamedOrderField',
  description: 'The field that a list of named objects is ordered by.',
  valuesConfig: {
    CREATED_AT: { description: 'By age.' },
    NAME: { description: 'By the bytes of the name: capital letters come before small ones.' },
  },
});

@InputType({ description: 'The order of a list. A cursor of another order is INVALID_REQUEST.' })
export class NamedOrder {
  @Field(() => NamedOrderField, { description: 'The field to order by.' })
  field: NamedOrderField;

  @Field(() => OrderDirection, { description: 'The direction.' })
  direction: OrderDirection;
}

/** One page of a list, newest first unless the field says otherwise. */
export interface Connection<T> {
  edges: { cursor: string; node: T }[];
  nodes: T[];
  pageInfo: PageInfo;
  /** Counts the whole list. Called only if the client asks for it. */
  count(): Promise<Count>;
}

const articleOf = (name: string): string => (/^[AEIOU]/.test(name) ? 'An' : 'A');

/** Makes the connection and edge types of a node type, named after it. */
export function connectionOf<T extends object>(node: ClassType<T>, name: string): ClassType<Connection<T>> {
  @ObjectType(`${name}Edge`, { description: `${articleOf(name)} ${name} and its position in the list.` })
  class Edge {
    @Field({ description: 'Its position in the list. Pass it as `after` to read on from here.' })
    cursor: string;

    @Field(() => node, { description: `The ${name}.` })
    node: T;
  }

  @ObjectType(`${name}Connection`, { description: `One page of a list of ${name} objects.` })
  class ConnectionType implements Connection<T> {
    count: () => Promise<Count>;

    @Field(() => [Edge], { description: 'The objects with their cursors.' })
    edges: Edge[];

    @Field(() => [node], { description: 'The objects without cursors.' })
    nodes: T[];

    @Field(() => PageInfo, { description: 'The position of this page in its list.' })
    pageInfo: PageInfo;

    @Field(() => Int, {
      description:
        'The number of objects in the whole list, with its filter and on all pages. Counted only if requested, up to ' +
        `${MAX_COUNTED.toLocaleString('en')}. A lower bound if \`totalCountIsExact\` is false.`,
    })
    async totalCount(): Promise<number> {
      return (await this.count()).total;
    }

    @Field(() => Boolean, {
      description:
        `Whether \`totalCount\` is exact. false if there are more than ${MAX_COUNTED.toLocaleString('en')}, or if a filter without an ` +
        'index had to read that many.',
    })
    async totalCountIsExact(): Promise<boolean> {
      return (await this.count()).isExact;
    }
  }
  return ConnectionType;
}

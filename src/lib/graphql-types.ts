import { Extensions, Field, ID, InputType, Int, InterfaceType, ObjectType, registerEnumType, type ClassType } from 'type-graphql';

/** Marks what an answer shows once: a repeat of the request shows null. */
export const ShownOnce = () => Extensions({ shownOnce: true });

@InterfaceType({ description: 'Whatever has an id of its own, and can be asked for by `Query.node`.' })
export abstract class Node {
  @Field(() => ID, { description: 'Opaque, at most 64 characters of 0-9A-Za-z_-, beginning with its type.' })
  id: string;
}

@ObjectType({ description: 'Where a page lies in its list.' })
export class PageInfo {
  @Field({ description: 'Whether more follow this page.' })
  hasNextPage: boolean;

  @Field({ description: 'Whether some come before this page.' })
  hasPreviousPage: boolean;

  @Field(() => String, { nullable: true, description: "The first edge's cursor: give it as `before` to read back. Null on an empty page." })
  startCursor: string | null;

  @Field(() => String, { nullable: true, description: "The last edge's cursor: give it as `after` to read on. Null on an empty page." })
  endCursor: string | null;

  @Field({
    description:
      'Whether a filter that no index answers left out so much that the page ended before it was full, or empty. More may follow: the cursor at its end is the place that was come to, and reading on from there goes on as from any other.',
  })
  isCutShort: boolean;
}

/** How many rows a list has, as far as they were counted. */
export interface Count {
  /** At least so many. */
  total: number;
  isExact: boolean;
}

export enum OrderDirection {
  ASC = 'ASC',
  DESC = 'DESC',
}
registerEnumType(OrderDirection, {
  name: 'OrderDirection',
  description: 'Which way a list is ordered.',
  valuesConfig: { ASC: { description: 'The least or oldest first.' }, DESC: { description: 'The greatest or newest first.' } },
});

export enum NamedOrderField {
  CREATED_AT = 'CREATED_AT',
  NAME = 'NAME',
}
registerEnumType(NamedOrderField, {
  name: 'NamedOrderField',
  description: 'What a list of named things is ordered by.',
  valuesConfig: { CREATED_AT: { description: 'By age.' }, NAME: { description: 'By name, as its bytes are: capitals before small letters.' } },
});

@InputType({ description: 'The order of a list. A cursor is of one order, and INVALID_REQUEST in another.' })
export class NamedOrder {
  @Field(() => NamedOrderField, { description: 'What the list is ordered by.' })
  field: NamedOrderField;

  @Field(() => OrderDirection, { description: 'Which way.' })
  direction: OrderDirection;
}

/** One page of a list, newest first unless its field says otherwise. */
export interface Connection<T> {
  edges: { cursor: string; node: T }[];
  nodes: T[];
  pageInfo: PageInfo;
  /** Counts the whole list, where it is asked. */
  count(): Promise<Count>;
}

const articleOf = (name: string): string => (/^[AEIOU]/.test(name) ? 'An' : 'A');

/** The most rows that are counted of a list. */
export const MAX_COUNTED = 10_000;

/** The connection and edge types of a node type, named after it. */
export function connectionOf<T extends object>(node: ClassType<T>, name: string): ClassType<Connection<T>> {
  @ObjectType(`${name}Edge`, { description: `${articleOf(name)} ${name} and its place in the list.` })
  class Edge {
    @Field({ description: 'Its place in the list: give it as `after` to read on from here.' })
    cursor: string;

    @Field(() => node, { description: `The ${name}.` })
    node: T;
  }

  @ObjectType(`${name}Connection`, { description: `One page of a list of ${name} objects.` })
  class ConnectionType implements Connection<T> {
    count: () => Promise<Count>;

    @Field(() => [Edge], { description: 'The objects with their cursors.' })
    edges: Edge[];

    @Field(() => [node], { description: 'The objects alone.' })
    nodes: T[];

    @Field(() => PageInfo, { description: 'Where this page lies in its list.' })
    pageInfo: PageInfo;

    @Field(() => Int, {
      description: `How many there are in the whole list, with its filter and on all pages; counted only where it is asked for, up to ${MAX_COUNTED.toLocaleString('en')}. At least so many where \`totalCountIsExact\` is false.`,
    })
    async totalCount(): Promise<number> {
      return (await this.count()).total;
    }

    @Field(() => Boolean, { description: `Whether \`totalCount\` is all: false where there are more than ${MAX_COUNTED.toLocaleString('en')}, or where so many were looked at for a filter that no index answers.` })
    async totalCountIsExact(): Promise<boolean> {
      return (await this.count()).isExact;
    }
  }
  return ConnectionType;
}

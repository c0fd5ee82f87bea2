import { Extensions, Field, ID, InterfaceType, ObjectType, type ClassType } from 'type-graphql';

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

  @Field(() => String, { nullable: true, description: "The first edge's cursor; null on an empty page." })
  startCursor: string | null;

  @Field(() => String, { nullable: true, description: "The last edge's cursor: give it as `after` to read on. Null on an empty page." })
  endCursor: string | null;
}

/** One page of a list, newest first unless its field says otherwise. */
export interface Connection<T> {
  edges: { cursor: string; node: T }[];
  nodes: T[];
  pageInfo: PageInfo;
}

/** The connection and edge types of a node type, named after it. */
export function connectionOf<T extends object>(node: ClassType<T>, name: string): ClassType<Connection<T>> {
  @ObjectType(`${name}Edge`, { description: `A ${name} and its place in the list.` })
  class Edge {
    @Field({ description: 'Its place in the list: give it as `after` to read on from here.' })
    cursor: string;

    @Field(() => node, { description: `The ${name}.` })
    node: T;
  }

  @ObjectType(`${name}Connection`, { description: `One page of a list of ${name} objects.` })
  class ConnectionType implements Connection<T> {
    @Field(() => [Edge], { description: 'The objects with their cursors.' })
    edges: Edge[];

    @Field(() => [node], { description: 'The objects alone.' })
    nodes: T[];

    @Field(() => PageInfo, { description: 'Where this page lies in its list.' })
    pageInfo: PageInfo;
  }
  return ConnectionType;
}

import {
  defaultFieldResolver,
  execute,
  getNamedType,
  getNullableType,
  isAbstractType,
  isLeafType,
  isListType,
  isObjectType,
  SchemaMetaFieldDef,
  TypeMetaFieldDef,
  type ExecutionArgs,
  type ExecutionResult,
  type FieldNode,
  type GraphQLField,
  type GraphQLFieldResolver,
  type GraphQLOutputType,
  type GraphQLResolveInfo,
  type GraphQLSchema,
} from 'graphql';
import { collectSubfields } from 'graphql/execution/collectFields';
import type { GraphQLContext } from '../graphql/context';
import { plannedAt, priceOfAny, type PlannedField } from '../graphql/query-plan';
import type { Execution } from '../graphql/work';

// graphql-js executes everything that resolvers return in one go, and so blocks the event loop. Therefore each object of an answer is
// counted, and waits for its turn, before graphql-js gets it. This happens in the resolver of its field, or when graphql-js reads it as the
// next item of a list.

type Resolver = GraphQLFieldResolver<unknown, GraphQLContext>;
type Enter = (value: unknown, execution: Execution, info: GraphQLResolveInfo) => unknown;

const META_FIELDS = [SchemaMetaFieldDef, TypeMetaFieldDef];

/** Fields that are already bounded. All schemas share the introspection fields, so a second schema must not bound these again. */
const bounded = new WeakSet<object>();

/** Makes the fields of a schema, and of introspection, count their work and wait for their turns when `run` executes them. */
export function boundExecution(schema: GraphQLSchema): void {
  const fields = Object.values(schema.getTypeMap()).flatMap((type) => (isObjectType(type) ? Object.values(type.getFields()) : []));
  for (const field of [...fields, ...(META_FIELDS as GraphQLField<unknown, GraphQLContext>[])]) {
    if (bounded.has(field)) continue;
    bounded.add(field);
    field.resolve = boundedBy(isLeafType(getNamedType(field.type)) ? enterValue : enterObjects, field.resolve ?? defaultFieldResolver);
  }
}

/** Executes an operation. If it exceeds a limit, the result is only that error, and execution stops at once. */
export async function run(args: ExecutionArgs & { contextValue: GraphQLContext }, execution: Execution): Promise<ExecutionResult> {
  execution.count(pointsOfValues([...execution.plan.values()]), 0);
  return Promise.race([execute(args), execution.cut]);
}

function boundedBy(enter: Enter, resolve: Resolver): Resolver {
  return (source, args, context, info) => {
    const { execution } = (context as GraphQLContext | undefined) ?? {}; // printing the schema executes without a context
    if (!execution) return resolve(source, args, context, info);
    if (execution.isOver) return never();
    const failed = (error: unknown): unknown => fail(error, execution, enter === enterObjects ? amountOf(execution, info).own : 0);
    let value: unknown;
    try {
      value = resolve(source, args, context, info);
    } catch (error) {
      return failed(error);
    }
    return isPromise(value) ? value.then((resolved) => enter(resolved, execution, info), failed) : enter(value, execution, info);
  };
}

/** Never resolves. Stops a field without an error; the garbage collector removes it together with the stopped execution. */
const never = (): Promise<never> => new Promise(() => undefined);

/** Calls `goOn` now, or in a later turn if this one has no time left. Never calls it if the execution has stopped. */
function inTurn(execution: Execution, goOn: () => unknown): unknown {
  if (execution.isOver) return never();
  const turn = execution.turn();
  return turn ? turn.then(goOn) : goOn();
}

/** Counts an error with the points of its field, waits for a turn and throws the error. */
function fail(error: unknown, execution: Execution, points: number): unknown {
  execution.countError(points);
  return inTurn(execution, () => {
    throw error;
  });
}

function enterValue(value: unknown, execution: Execution, info: GraphQLResolveInfo): unknown {
  // The first value is counted with the object
  const pointsOfOthers = Array.isArray(value) ? (value.length - 1) * amountOf(execution, info).own : 0;
  execution.count(pointsOfOthers, lengthOf(value));
  return execution.isOver ? never() : value;
}

function enterObjects(value: unknown, execution: Execution, info: GraphQLResolveInfo): unknown {
  return enter(value, info.returnType, execution, amountOf(execution, info));
}

function enter(value: unknown, type: GraphQLOutputType, execution: Execution, amount: Amount): unknown {
  const nullable = getNullableType(type);
  if (isListType(nullable) && isIterable(value)) return items(value, nullable.ofType as GraphQLOutputType, execution, amount);
  const isNothing = value === null || value === undefined || value instanceof Error;
  execution.count(isNothing ? amount.own : amount.own + amount.within, isNothing ? 0 : amount.length);
  return inTurn(execution, () => value);
}

/** Yields the items of a list. Enters each item when graphql-js reads it. */
function* items(list: Iterable<unknown>, type: GraphQLOutputType, execution: Execution, amount: Amount): Generator<unknown> {
  const enterItem = (item: unknown) => enter(item, type, execution, amount);
  const failed = (error: unknown) => fail(error, execution, amount.own);
  for (const item of list) yield isPromise(item) ? item.then(enterItem, failed) : enterItem(item);
}

const isPromise = (value: unknown): value is Promise<unknown> => typeof (value as Promise<unknown> | null | undefined)?.then === 'function';
const isIterable = (value: unknown): value is Iterable<unknown> => typeof value === 'object' && value !== null && Symbol.iterator in value;

/** The cost of one answer of a field. */
interface Amount {
  /** The points of the field itself. */
  own: number;
  /** The points of the scalar fields selected on its object. */
  within: number;
  /** The bytes of the names of all fields selected on its object. */
  length: number;
}

/** Keyed by the nodes of a field. graphql-js creates them anew for each execution, and shares them for all objects of a list. */
const amounts = new WeakMap<readonly FieldNode[], Amount>();

function amountOf({ plan }: Execution, info: GraphQLResolveInfo): Amount {
  const known = amounts.get(info.fieldNodes);
  if (known) return known;
  const planned = plannedAt(plan, info.path);
  const of = getNamedType(info.returnType);
  const types = isAbstractType(of) ? info.schema.getPossibleTypes(of) : isObjectType(of) ? [of] : [];
  const asked = types.map((type) => [...collectSubfields(info.schema, info.fragments, info.variableValues, type, info.fieldNodes).keys()]);
  const within = asked.map((names) => pointsOfValues(names.map((name) => planned.flatMap((field) => field.within.get(name) ?? []))));
  const lengths = asked.map((names) => names.reduce((sum, name) => sum + name.length + LENGTH_AROUND_NAME, 0));
  const amount = { own: priceOfAny(planned), within: Math.max(0, ...within), length: Math.max(0, ...lengths) };
  amounts.set(info.fieldNodes, amount);
  return amount;
}

/** Bytes of JSON around a name, including the shortest value. */
const LENGTH_AROUND_NAME = 8;

/** The points of the scalar fields among these. */
const pointsOfValues = (fields: PlannedField[][]): number =>
  fields.reduce((sum, same) => sum + priceOfAny(same.filter(({ isValue }) => isValue)), 0);

/** The approximate length as JSON, in bytes. */
function lengthOf(value: unknown): number {
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + 3 + lengthOf(item), 0);
  return typeof value === 'object' && value !== null && !(value instanceof Date) ? JSON.stringify(value).length : 8;
}

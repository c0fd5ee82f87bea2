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
import type { GraphQLContext } from './context';
import { plannedAt, priceOfAny, type PlannedField } from './cost';
import type { Execution } from './work';

// graphql-js executes without a break whatever resolvers give it. So each object of an answer is counted and waits for its turn before
// graphql-js gets it: by the resolver of its field, or as an item of a list, which graphql-js takes one after the other.

type Resolver = GraphQLFieldResolver<unknown, GraphQLContext>;
type Enter = (value: unknown, execution: Execution, info: GraphQLResolveInfo) => unknown;

const META_FIELDS = [SchemaMetaFieldDef, TypeMetaFieldDef];

/** The fields that are bounded: those of introspection are the same in all schemas. */
const bounded = new WeakSet<object>();

/** Makes the fields of a schema, and those of introspection, count what they come to and wait for their turns when `run` executes them. */
export function boundExecution(schema: GraphQLSchema): void {
  const fields = Object.values(schema.getTypeMap()).flatMap((type) => (isObjectType(type) ? Object.values(type.getFields()) : []));
  for (const field of [...fields, ...(META_FIELDS as GraphQLField<unknown, GraphQLContext>[])]) {
    if (bounded.has(field)) continue;
    bounded.add(field);
    field.resolve = boundedBy(isLeafType(getNamedType(field.type)) ? enterValue : enterObjects, field.resolve ?? defaultFieldResolver);
  }
}

/** Executes an operation. Past a limit the result is nothing but the reason, at once; nothing more of the operation is executed then. */
export async function run(args: ExecutionArgs & { contextValue: GraphQLContext }, execution: Execution): Promise<ExecutionResult> {
  execution.count(pointsOfValues([...execution.plan.values()]), 0);
  return Promise.race([execute(args), execution.cut]);
}

function boundedBy(enter: Enter, resolve: Resolver): Resolver {
  return (source, args, context, info) => {
    const { execution } = (context as GraphQLContext | undefined) ?? {}; // others execute without a context, to print the schema
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

/** What is to be answered no more: without an error for each place, and collected with the execution that waits for it. */
const never = (): Promise<never> => new Promise(() => undefined);

/** Goes on now, or in a later turn where this one is used up, or never. */
function inTurn(execution: Execution, goOn: () => unknown): unknown {
  if (execution.isOver) return never();
  const turn = execution.turn();
  return turn ? turn.then(goOn) : goOn();
}

/** Throws an error in a turn, and counts it with what its field costs. */
function fail(error: unknown, execution: Execution, points: number): unknown {
  execution.countError(points);
  return inTurn(execution, () => {
    throw error;
  });
}

function enterValue(value: unknown, execution: Execution, info: GraphQLResolveInfo): unknown {
  const more = Array.isArray(value) ? (value.length - 1) * amountOf(execution, info).own : 0; // one is counted with the object
  execution.count(more, lengthOf(value));
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

/** The items of a list, each of which is entered when graphql-js comes to it. */
function* items(list: Iterable<unknown>, type: GraphQLOutputType, execution: Execution, amount: Amount): Generator<unknown> {
  const enterItem = (item: unknown) => enter(item, type, execution, amount);
  const failed = (error: unknown) => fail(error, execution, amount.own);
  for (const item of list) yield isPromise(item) ? item.then(enterItem, failed) : enterItem(item);
}

const isPromise = (value: unknown): value is Promise<unknown> => typeof (value as Promise<unknown> | null | undefined)?.then === 'function';
const isIterable = (value: unknown): value is Iterable<unknown> => typeof value === 'object' && value !== null && Symbol.iterator in value;

/** What an answer of a field comes to. */
interface Amount {
  /** The points of the field itself. */
  own: number;
  /** The points of the values that are asked of its object. */
  within: number;
  /** The bytes of the names of all that is asked of it. */
  length: number;
}

/** By the nodes of a field, which graphql-js makes anew for each execution and has once for all objects of a list. */
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

/** What JSON has around a name, and at the least for its value. */
const LENGTH_AROUND_NAME = 8;

/** The points of those of the fields that are values. */
const pointsOfValues = (fields: PlannedField[][]): number =>
  fields.reduce((sum, same) => sum + priceOfAny(same.filter(({ isValue }) => isValue)), 0);

/** As JSON, more or less. */
function lengthOf(value: unknown): number {
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + 3 + lengthOf(item), 0);
  return typeof value === 'object' && value !== null && !(value instanceof Date) ? JSON.stringify(value).length : 8;
}

import {
  GraphQLIncludeDirective,
  GraphQLSkipDirective,
  Kind,
  SchemaMetaFieldDef,
  TypeMetaFieldDef,
  TypeNameMetaFieldDef,
  getArgumentValues,
  getDirectiveValues,
  getNamedType,
  getNullableType,
  getVariableValues,
  isCompositeType,
  isInterfaceType,
  isListType,
  isObjectType,
  type DocumentNode,
  type FieldNode,
  type GraphQLCompositeType,
  type GraphQLField,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
} from 'graphql';
import type { Path } from 'graphql/jsutils/Path';
import { maxItemsOf } from '../lib/graphql-types';
import { DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE } from '../lib/page-sizes';
import { fragmentsOf } from './limits';

// A point is one object in the answer, or work that takes as long. Fields are counted as execution collects them: a fragment counts once
// for each object, repeated selections of one field count together, and fields left out by @skip or @include do not count.

/** Scalar values, such as texts and numbers, that make one point. */
const VALUES_PER_POINT = 10;
/** Values in lists of scalars that make one point. Cheaper, because they are read together with their object. */
const LISTED_VALUES_PER_POINT = 100;

/** Points of a mutation in addition to the objects of its answer, because it is a transaction. */
const MUTATION_POINTS = 10;
/** Points of counting a list, for each count field. */
const TOTAL_COUNT_POINTS = 10;
/** Points of reading a page of a filtered list, even if it is empty. */
const FILTER_POINTS = 20;
/** Points of counting a filtered list. */
const FILTERED_COUNT_POINTS = 100;
/** Filter values that make one point, each time that the filter is applied. */
const FILTER_VALUES_PER_POINT = 50;
const COUNTS = new Set(['totalCount', 'totalCountIsExact']);
/** Introspection objects that make one point. Their values are cheaper by the same factor, because the schema is in memory. */
const SCHEMA_OBJECTS_PER_POINT = 4;

/** `extensions.cost` of an answer, in points. */
export interface Cost {
  /** Points that the operation may cost. The payer must have them before it runs. */
  requested: number;
  /** Points that the operation did cost, and that were charged. Usually less than `requested`. */
  actual: number;
  /** Points that the payer has left. */
  left: number;
  /** Points that a full budget has. */
  max: number;
  refillPerSecond: number;
}

/** A requested field: its price for each answer, and the plan of the fields inside it. */
export interface PlannedField {
  price: number;
  /** True for a scalar, or a list of scalars. */
  isValue: boolean;
  /** Expected maximum of answers for each parent object. */
  times: number;
  within: Plan;
}

/** Fields by their names in the answer. A name has several fields if fragments of different types select it: only one is answered. */
export type Plan = Map<string, PlannedField[]>;

/**
 * Plans the cost of an operation. The operation must be valid and the variables must fit it. Counts the fields of all fragments, even of
 * fragments on types that exclude each other.
 */
export function planOf(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Record<string, unknown>,
): Plan {
  const values = getVariableValues(schema, operation.variableDefinitions ?? [], variables);
  const { coerced = {} } = values as { coerced?: Record<string, unknown> };
  const fragments = fragmentsOf(document);

  const isLeftOut = (node: SelectionNode): boolean =>
    getDirectiveValues(GraphQLSkipDirective, node, coerced)?.if === true ||
    getDirectiveValues(GraphQLIncludeDirective, node, coerced)?.if === false;

  const plan = (sets: readonly SelectionSetNode[], parent: GraphQLCompositeType, page: AskedPage | undefined): Plan => {
    const asked = new Map<string, { name: string; type: GraphQLCompositeType; nodes: [FieldNode, ...FieldNode[]] }>();
    const seen = new Set<string>();
    const collect = ({ selections }: SelectionSetNode, type: GraphQLCompositeType): void => {
      for (const node of selections) {
        if (isLeftOut(node)) continue;
        if (node.kind === Kind.FIELD) {
          const name = (node.alias ?? node.name).value;
          const known = asked.get(`${type.name}.${name}`);
          if (known) known.nodes.push(node);
          else asked.set(`${type.name}.${name}`, { name, type, nodes: [node] });
          continue;
        }
        let fragment;
        if (node.kind === Kind.INLINE_FRAGMENT) fragment = node;
        else if (!seen.has(node.name.value)) fragment = fragments.get(node.name.value);
        if (node.kind === Kind.FRAGMENT_SPREAD) seen.add(node.name.value);
        if (!fragment) continue;
        const condition = fragment.typeCondition ? schema.getType(fragment.typeCondition.name.value) : type;
        if (isCompositeType(condition)) collect(fragment.selectionSet, condition);
      }
    };
    for (const set of sets) collect(set, parent);
    const planned: Plan = new Map();
    for (const { name, type, nodes } of asked.values()) {
      const field = definitionOf(type, nodes[0].name.value);
      if (!field) continue;
      const of = getNamedType(field.type);
      const args = argumentsOf(field, nodes[0], coerced);
      const inside = nodes.flatMap(({ selectionSet }) => selectionSet ?? []);
      const within = isCompositeType(of) ? plan(inside, of, pageOf(field, args)) : new Map<string, PlannedField[]>();
      const fields = planned.get(name) ?? [];
      const requested: AskedField = { schema, parent: type, field, args, page };
      planned.set(name, [...fields, { price: priceOf(requested), isValue: !isCompositeType(of), times: timesOf(requested), within }]);
    }
    return planned;
  };
  return plan([operation.selectionSet], schema.getRootType(operation.operation) as GraphQLCompositeType, undefined);
}

/** The maximum of points that a plan is expected to cost. */
export function requestedPoints(plan: Plan): number {
  const pointsOf = (fields: Plan): number => {
    let points = 0;
    for (const { price, times, within } of [...fields.values()].flat()) points += times * (price + pointsOf(within));
    return points;
  };
  return wholePoints(pointsOf(plan));
}

/** The planned fields at a path of the answer. */
export function plannedAt(plan: Plan, { prev, key }: Path): PlannedField[] {
  if (!prev) return plan.get(String(key)) ?? [];
  const parents = plannedAt(plan, prev);
  return typeof key === 'number' ? parents : parents.flatMap(({ within }) => within.get(key) ?? []);
}

/** The price of one answer, without its inner fields. Takes the highest price of alternative fields. */
export const priceOfAny = (fields: PlannedField[] = []): number => Math.max(0, ...fields.map(({ price }) => price));

/** Rounds points up. Ignores rounding errors of floating-point sums, up to 0.0005 points. */
export const wholePoints = (points: number): number => Math.ceil(Number(points.toFixed(3)));

function definitionOf(parent: GraphQLCompositeType, name: string): GraphQLField<unknown, unknown> | undefined {
  if (name === SchemaMetaFieldDef.name) return SchemaMetaFieldDef;
  if (name === TypeMetaFieldDef.name) return TypeMetaFieldDef;
  if (name === TypeNameMetaFieldDef.name) return TypeNameMetaFieldDef;
  return isObjectType(parent) || isInterfaceType(parent) ? parent.getFields()[name] : undefined;
}

/** Returns no arguments if a variable is null but the argument is not nullable: execution reports this as an error of the field. */
function argumentsOf(
  field: GraphQLField<unknown, unknown>,
  node: FieldNode,
  variables: Record<string, unknown>,
): Record<string, unknown> {
  try {
    return getArgumentValues(field, node, variables);
  } catch {
    return {};
  }
}

/** A field in an operation. */
interface AskedField {
  schema: GraphQLSchema;
  /** The type that has the field. */
  parent: GraphQLCompositeType;
  field: GraphQLField<unknown, unknown>;
  args: Record<string, unknown>;
  /** The requested page, if the parent is a paginated list. */
  page: AskedPage | undefined;
}

/** The price of one answer of a field. If the field declares a `complexity` (type-graphql), that is the price. */
function priceOf({ schema, parent, field, args, page }: AskedField): number {
  const of = getNamedType(field.type);
  const { complexity } = field.extensions;
  if (typeof complexity === 'number') return complexity;
  if (COUNTS.has(field.name)) return page && page.filterValues > 0 ? FILTERED_COUNT_POINTS : TOTAL_COUNT_POINTS;
  if (parent.name.startsWith('__') && !isCompositeType(of)) return 1 / VALUES_PER_POINT / SCHEMA_OBJECTS_PER_POINT;
  if (!isCompositeType(of)) return 1 / (isListType(getNullableType(field.type)) ? LISTED_VALUES_PER_POINT : VALUES_PER_POINT);
  if (of.name.startsWith('__')) return 1 / SCHEMA_OBJECTS_PER_POINT;
  if (parent === schema.getMutationType()) return 1 + MUTATION_POINTS;
  const filterValues = pageOf(field, args)?.filterValues ?? 0;
  return filterValues === 0 ? 1 : 1 + FILTER_POINTS + Math.floor(filterValues / FILTER_VALUES_PER_POINT);
}

/** The expected maximum of answers of a field for one parent object. */
function timesOf({ schema, parent, field, args, page }: AskedField): number {
  if (parent.name.startsWith('__')) return schemaSizesOf(schema)[field.name] ?? 1;
  if (!isListType(getNullableType(field.type))) return 1;
  const listed = Object.values(args).flatMap((value) => (Array.isArray(value) ? [value.length] : []));
  return listed.length > 0 ? Math.max(...listed) : (page?.size ?? maxItemsOf(field) ?? MAX_PAGE_SIZE);
}

/** The requested page of a paginated list. */
interface AskedPage {
  /** Maximum number of objects on the page. */
  size: number;
  /** Number of values in the filter. 0 without a filter. */
  filterValues: number;
}

/** Returns undefined if the field is not paginated. Caps the size: the list itself refuses a page that is too large. */
function pageOf(
  { args: declared }: GraphQLField<unknown, unknown>,
  { first, last, filter }: Record<string, unknown>,
): AskedPage | undefined {
  if (!declared.some(({ name }) => name === 'first')) return undefined;
  const size = typeof first === 'number' ? first : typeof last === 'number' ? last : DEFAULT_PAGE_SIZE;
  return { size: Math.min(Math.max(size, 0), MAX_PAGE_SIZE), filterValues: valuesIn(filter) };
}

function valuesIn(value: unknown): number {
  if (value === undefined || value === null) return 0;
  if (Array.isArray(value)) return Math.max(value.length, 1); // an empty list is a filter too: it matches nothing
  if (typeof value !== 'object' || value instanceof Date) return 1;
  return Object.values(value).reduce<number>((sum, inner) => sum + valuesIn(inner), 0);
}

const schemaSizes = new WeakMap<GraphQLSchema, Record<string, number>>();

/** The average number of answers of each introspection field for one object, in this schema. */
function schemaSizesOf(schema: GraphQLSchema): Record<string, number> {
  const known = schemaSizes.get(schema);
  if (known) return known;
  const types = Object.values(schema.getTypeMap());
  const fields = types.flatMap((type) => (isObjectType(type) || isInterfaceType(type) ? Object.values(type.getFields()) : []));
  const args = fields.flatMap((field) => field.args);
  const sizes: Record<string, number> = {
    types: types.length,
    directives: schema.getDirectives().length,
    fields: fields.length / types.length,
    args: args.length / fields.length,
    ofType: 0.5, // clients nest it nine times, but most types are wrapped at most twice
  };
  schemaSizes.set(schema, sizes);
  return sizes;
}

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
import { DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE } from '../lib/page';
import { fragmentsOf } from './limits';

// A point is an object in the answer, or what takes as long as so many of them. What an operation asks for is counted as execution collects
// it: a fragment once for each object, places that name one field together, and what @skip and @include leave out not at all.

/** Values that make a point: texts, numbers. */
const VALUES_PER_POINT = 10;
/** Values of a list of them that make a point: they come with what has them. */
const LISTED_VALUES_PER_POINT = 100;

/** What a mutation costs beside the objects of its answer: it is a transaction. */
const MUTATION_POINTS = 10;
/** What it costs to count a list, for each field that tells of it. */
const TOTAL_COUNT_POINTS = 10;
/** What it costs to look for a page of what a filter lets through, whether it finds any, and to count that. */
const FILTER_POINTS = 20;
const FILTERED_COUNT_POINTS = 100;
/** Values of a filter that make a point, each time that it is asked. */
const FILTER_VALUES_PER_POINT = 50;
const COUNTS = new Set(['totalCount', 'totalCountIsExact']);
/** Objects of the schema that make a point, and their values as many times less than others: they are in memory. */
const SCHEMA_OBJECTS_PER_POINT = 4;

/** `extensions.cost` of an answer, in points. */
export interface Cost {
  /** What it was expected to come to, and had to be there. */
  requested: number;
  /** What it came to, which is what was taken: most often less. */
  actual: number;
  /** What the principal may still ask for at once. */
  left: number;
  /** What it may ask for at once after a quiet spell. */
  max: number;
  refillPerSecond: number;
}

/** A field that is asked for: its own price for each time that it is answered, and what is asked within it, by the names of the answer. */
export interface PlannedField {
  price: number;
  /** Whether it is a value, or a list of values. */
  isValue: boolean;
  /** How often it is answered, at the most that is to be expected, for each object that has it. */
  times: number;
  within: Plan;
}

/** Fields by their names in the answer. More than one for a name where types differ: one of them will be answered. */
export type Plan = Map<string, PlannedField[]>;

/** What a validated operation will ask of the server, with variables that fit it. Where it has fields that may be left out by type, all count. */
export function planOf(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, variables: Record<string, unknown>): Plan {
  const { coerced = {} } = getVariableValues(schema, operation.variableDefinitions ?? [], variables) as { coerced?: Record<string, unknown> };
  const fragments = fragmentsOf(document);

  const isLeftOut = (node: SelectionNode): boolean =>
    getDirectiveValues(GraphQLSkipDirective, node, coerced)?.if === true || getDirectiveValues(GraphQLIncludeDirective, node, coerced)?.if === false;

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
      const price = priceOf(schema, type, field, args, page);
      planned.set(name, [...fields, { price, isValue: !isCompositeType(of), times: timesOf(schema, type, field, args, page), within }]);
    }
    return planned;
  };
  return plan([operation.selectionSet], schema.getRootType(operation.operation) as GraphQLCompositeType, undefined);
}

/** The points that a plan may come to. */
export function requestedPoints(plan: Plan): number {
  const pointsOf = (fields: Plan): number => {
    let points = 0;
    for (const { price, times, within } of [...fields.values()].flat()) points += times * (price + pointsOf(within));
    return points;
  };
  return wholePoints(pointsOf(plan));
}

/** The fields of a plan at a place of the answer. */
export function plannedAt(plan: Plan, { prev, key }: Path): PlannedField[] {
  if (!prev) return plan.get(String(key)) ?? [];
  const parents = plannedAt(plan, prev);
  return typeof key === 'number' ? parents : parents.flatMap(({ within }) => within.get(key) ?? []);
}

/** What an answer of one of these fields costs by itself. */
export const priceOfAny = (fields: PlannedField[] = []): number => Math.max(0, ...fields.map(({ price }) => price));

/** What is begun counts; what sums of fractions miss it by does not. */
export const wholePoints = (points: number): number => Math.ceil(Number(points.toFixed(3)));

function definitionOf(parent: GraphQLCompositeType, name: string): GraphQLField<unknown, unknown> | undefined {
  if (name === SchemaMetaFieldDef.name) return SchemaMetaFieldDef;
  if (name === TypeMetaFieldDef.name) return TypeMetaFieldDef;
  if (name === TypeNameMetaFieldDef.name) return TypeNameMetaFieldDef;
  return isObjectType(parent) || isInterfaceType(parent) ? parent.getFields()[name] : undefined;
}

/** Its arguments; none where a null comes by a variable to where there must be a value, which is that field's error once it is asked. */
function argumentsOf(field: GraphQLField<unknown, unknown>, node: FieldNode, variables: Record<string, unknown>): Record<string, unknown> {
  try {
    return getArgumentValues(field, node, variables);
  } catch {
    return {};
  }
}

/** For each answer of a field. A field's `complexity`, as type-graphql calls it, is a price of its own. */
function priceOf(schema: GraphQLSchema, parent: GraphQLCompositeType, field: GraphQLField<unknown, unknown>, args: Record<string, unknown>, page: AskedPage | undefined): number {
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

/** How many answers are to be expected of a field of one object. */
function timesOf(schema: GraphQLSchema, parent: GraphQLCompositeType, field: GraphQLField<unknown, unknown>, args: Record<string, unknown>, page: AskedPage | undefined): number {
  if (parent.name.startsWith('__')) return schemaSizesOf(schema)[field.name] ?? 1;
  if (!isListType(getNullableType(field.type))) return 1;
  const listed = Object.values(args).flatMap((value) => (Array.isArray(value) ? [value.length] : []));
  return listed.length > 0 ? Math.max(...listed) : (page?.size ?? maxItemsOf(field) ?? MAX_PAGE_SIZE);
}

/** What is asked of a list that has pages. */
interface AskedPage {
  /** How many objects it has at most. */
  size: number;
  /** How many values its filter has; 0 where it has none. */
  filterValues: number;
}

/** Undefined for what has no pages. What is more than a page may have is refused where it is read. */
function pageOf({ args: declared }: GraphQLField<unknown, unknown>, { first, last, filter }: Record<string, unknown>): AskedPage | undefined {
  if (!declared.some(({ name }) => name === 'first')) return undefined;
  const size = typeof first === 'number' ? first : typeof last === 'number' ? last : DEFAULT_PAGE_SIZE;
  return { size: Math.min(Math.max(size, 0), MAX_PAGE_SIZE), filterValues: valuesIn(filter) };
}

function valuesIn(value: unknown): number {
  if (value === undefined || value === null) return 0;
  if (Array.isArray(value)) return Math.max(value.length, 1); // one that is empty lets nothing through
  return typeof value === 'object' && !(value instanceof Date) ? Object.values(value).reduce<number>((sum, inner) => sum + valuesIn(inner), 0) : 1;
}

const schemaSizes = new WeakMap<GraphQLSchema, Record<string, number>>();

/** How many answers the fields of introspection have for each object, on the average of this schema. */
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
    ofType: 0.5, // clients ask for it nine times within itself, and few types wrap more than two
  };
  schemaSizes.set(schema, sizes);
  return sizes;
}

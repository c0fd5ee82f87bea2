import {
  Kind,
  Lexer,
  Source,
  TokenKind,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type SelectionSetNode,
} from 'graphql';
import { TollgateError } from '../errors';

// Limits of a document, for all callers. These checks take linear time. They run before the validation of graphql-js, which takes quadratic
// time, because it compares each selection of a field with all others.

/** The longest document, in UTF-16 units. */
const MAX_DOCUMENT_LENGTH = 65_536;
/** The longest document, in tokens. */
export const MAX_TOKENS = 10_000;
/** Nested brackets of any kind. Bounds the recursion of the parser. */
const MAX_NESTING = 50;
/** Directives in a document. */
const MAX_DIRECTIVES = 50;
/** Operations in a document. */
const MAX_OPERATIONS = 100;
/** Fragments in a document. */
const MAX_FRAGMENTS = 200;
/** Nested fields, with fragments expanded. */
const MAX_DEPTH = 20;
/** Root fields of an operation. */
const MAX_ROOT_FIELDS = 50;
/** Fields of one object. */
const MAX_BREADTH = 200;
/** Fields and fragments in a document, with fragments expanded at each spread. */
const MAX_SELECTIONS = 2_000;
/** Selections of the same field of one object. */
const MAX_REPEATS = 50;
/** Aliases in a document, with fragments expanded. */
const MAX_ALIASES = 100;
/** Variables that all operations of a document declare. */
const MAX_VARIABLES = 200;
/** Validation errors in an answer. Each one is expensive: it compares all names of the schema to suggest a similar one. */
export const MAX_DOCUMENT_ERRORS = 10;
/** Values in the variables of a request. Each item of a list and each field of an object counts. */
const MAX_VALUES = 5_000;

/** The size of a document, by each limited figure. */
export type Figures = Record<keyof typeof ALLOWED, number>;

const ALLOWED = {
  length: MAX_DOCUMENT_LENGTH,
  tokens: MAX_TOKENS,
  nesting: MAX_NESTING,
  directives: MAX_DIRECTIVES,
  operations: MAX_OPERATIONS,
  fragments: MAX_FRAGMENTS,
  depth: MAX_DEPTH,
  rootFields: MAX_ROOT_FIELDS,
  breadth: MAX_BREADTH,
  selections: MAX_SELECTIONS,
  repeats: MAX_REPEATS,
  aliases: MAX_ALIASES,
  variables: MAX_VARIABLES,
  values: MAX_VALUES,
};

/** A limit that a document exceeds. `asked` can be too low, because counting may stop at the limit. */
export interface Excess {
  limit: string;
  asked: number;
  allowed: number;
}

/** Builds QUERY_TOO_COMPLEX, with all figures over their limits. */
export function tooComplex(limits: Excess[]): TollgateError {
  const figures = limits.map(({ limit, asked, allowed }) => `${limit} ${asked}, at most ${allowed}`).join('; ');
  const message = `This asks for too much at once: ${figures}. Send smaller operations, with smaller pages or fewer fields.`;
  return new TollgateError('QUERY_TOO_COMPLEX', message, { limits });
}

/** Returns QUERY_TOO_COMPLEX for a request with more values than `counted`, at which counting stopped. */
export const tooManyValues = (counted: number): TollgateError => tooComplex([{ limit: 'values', asked: counted + 1, allowed: MAX_VALUES }]);

/** Throws QUERY_TOO_COMPLEX if a figure of a document, or of all documents of a batch, is over its limit. */
export function requireModest(figures: Partial<Figures>): void {
  const excesses = Object.entries(figures).flatMap(([limit, asked]) => {
    const allowed = ALLOWED[limit as keyof Figures];
    return asked > allowed ? [{ limit, asked, allowed }] : [];
  });
  if (excesses.length > 0) throw tooComplex(excesses);
}

/** Counts what can be counted before parsing. Stops at text that is not GraphQL: the parser reports it. */
export function figuresOfText(text: string): Pick<Figures, 'length' | 'tokens' | 'nesting' | 'directives'> {
  const figures = { length: text.length, tokens: 0, nesting: 0, directives: 0 };
  if (text.length > MAX_DOCUMENT_LENGTH) return figures;
  const lexer = new Lexer(new Source(text));
  let open = 0;
  try {
    for (let { kind } = lexer.advance(); kind !== TokenKind.EOF; { kind } = lexer.advance()) {
      figures.tokens += 1;
      if (kind === TokenKind.AT) figures.directives += 1;
      if (kind === TokenKind.BRACE_L || kind === TokenKind.BRACKET_L || kind === TokenKind.PAREN_L) {
        figures.nesting = Math.max(figures.nesting, (open += 1));
      }
      if (kind === TokenKind.BRACE_R || kind === TokenKind.BRACKET_R || kind === TokenKind.PAREN_R) open -= 1;
    }
  } catch {
    // Not GraphQL: the parser reports it
  }
  return figures;
}

/** Counts the values of variables. Stops just over the limit. */
export function figuresOfVariables(variables: unknown): Pick<Figures, 'values'> {
  const figures = { values: 0 };
  const open = [variables];
  while (open.length > 0 && figures.values <= MAX_VALUES) {
    const value = open.pop();
    if (typeof value !== 'object' || value === null) continue;
    for (const inner of Object.values(value)) {
      if ((figures.values += 1) > MAX_VALUES) break;
      open.push(inner);
    }
  }
  return figures;
}

/** Counts what can be counted without the schema. Counts all operations, not only the requested one, because all are validated. */
export function figuresOfDocument(document: DocumentNode): Omit<Figures, 'length' | 'tokens' | 'nesting' | 'directives' | 'values'> {
  const operations = document.definitions.flatMap((node) => (node.kind === Kind.OPERATION_DEFINITION ? [node] : []));
  const fragments = fragmentsOf(document);
  const variables = operations.reduce((sum, { variableDefinitions }) => sum + (variableDefinitions?.length ?? 0), 0);
  const counted = { depth: 0, rootFields: 0, breadth: 0, selections: 0, repeats: 0, aliases: 0 };
  const figures = { operations: operations.length, fragments: fragments.size, variables, ...counted };
  const spread = new Set<string>();

  const measure = (sets: readonly SelectionSetNode[], depth: number): void => {
    const fields = new Map<string, FieldNode[]>();
    const seen = new Set<string>();
    const collect = ({ selections }: SelectionSetNode): void => {
      for (const node of selections) {
        if ((figures.selections += 1) > MAX_SELECTIONS) return;
        if (node.kind === Kind.INLINE_FRAGMENT) collect(node.selectionSet);
        else if (node.kind === Kind.FIELD) {
          const name = (node.alias ?? node.name).value;
          if (node.alias) figures.aliases += 1;
          const asked = fields.get(name);
          if (asked) asked.push(node);
          else fields.set(name, [node]);
        } else {
          const name = node.name.value;
          const fragment = fragments.get(name);
          if (!fragment || seen.has(name)) continue; // execution also applies a fragment only once for each object
          seen.add(name);
          spread.add(name);
          collect(fragment.selectionSet);
        }
      }
    };
    sets.forEach(collect);
    figures.depth = Math.max(figures.depth, fields.size > 0 ? depth : 0);
    figures.breadth = Math.max(figures.breadth, fields.size);
    if (depth === 1) figures.rootFields = Math.max(figures.rootFields, fields.size);
    for (const nodes of fields.values()) {
      figures.repeats = Math.max(figures.repeats, nodes.length);
      const within = nodes.flatMap(({ selectionSet }) => selectionSet ?? []);
      if (within.length > 0 && depth <= MAX_DEPTH && figures.selections <= MAX_SELECTIONS) measure(within, depth + 1);
    }
  };

  for (const { selectionSet } of operations) measure([selectionSet], 1);
  // An unused fragment is validated too. Its fields are at depth 2 or deeper wherever it would be spread.
  for (const { name, selectionSet } of fragments.values()) if (!spread.has(name.value)) measure([selectionSet], 2);
  return figures;
}

/** A document's fragments by name. */
export function fragmentsOf(document: DocumentNode): Map<string, FragmentDefinitionNode> {
  return new Map(document.definitions.flatMap((node) => (node.kind === Kind.FRAGMENT_DEFINITION ? [[node.name.value, node]] : [])));
}

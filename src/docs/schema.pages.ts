import {
  astFromValue,
  getNamedType,
  getNullableType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isListType,
  isNonNullType,
  isObjectType,
  isScalarType,
  isSpecifiedScalarType,
  print,
  type GraphQLArgument,
  type GraphQLField,
  type GraphQLInputField,
  type GraphQLInputObjectType,
  type GraphQLNamedType,
  type GraphQLObjectType,
  type GraphQLSchema,
  type GraphQLType,
} from 'graphql';
import { Html, html } from '../lib/html';
import type { Example } from '../lib/manual';
import { pageOf, typesOf, type Names, type PageName } from './names';
import { code, codeLink, line, nothing, prose, table } from './prose';

type AnyField = GraphQLField<unknown, unknown>;

/** Renders the pages of a schema: one section for each root field and each type, with links between them. */
export class SchemaPages {
  private readonly users: Map<string, string[]>;

  constructor(
    private readonly schema: GraphQLSchema,
    private readonly names: Names,
    private readonly examples: Example[],
  ) {
    this.users = usersOf(schema);
  }

  /** The fields of Query, Mutation or Subscription. */
  root(type: GraphQLObjectType): Html {
    const fields = Object.values(type.getFields());
    const sections = fields.map((field) => this.rootField(field));
    return html`${prose(type.description, this.names)}${contents(fields.map(({ name }) => name))}${sections}`;
  }

  /** All types that belong on a page, or undefined if there are none. */
  types(page: PageName): Html | undefined {
    const roots = [this.schema.getQueryType(), this.schema.getMutationType(), this.schema.getSubscriptionType()];
    const types = typesOf(this.schema).filter((type) => pageOf(type) === page && !roots.some((root) => root === type));
    if (types.length === 0) return undefined;
    return html`${contents(types.map(({ name }) => name))}${types.map((type) => this.type(type))}`;
  }

  private rootField(field: AnyField): Html {
    const [input, ...others] = field.args.map(({ type }) => getNamedType(type));
    const inputType = isInputObjectType(input) && others.length === 0 ? input : undefined;
    const output = getNamedType(field.type);
    const payload = output.name.endsWith('Payload') && isObjectType(output) ? output : undefined;
    const examples = this.examples.filter((example) => example.field === field.name);
    return html`<section>
<h2 id="${field.name}">${field.name}</h2>
${deprecation(field, this.names)}${prose(field.description, this.names)}<p class="signature">${this.signature(field)}</p>
${field.args.length > 0 ? html`<h3>Arguments</h3>\n${this.inputs(field.args)}` : nothing}${
      inputType ? this.inputOf(inputType) : nothing
    }${payload ? html`<h3>Answer: ${this.link(payload.name)}</h3>\n${this.outputs(Object.values(payload.getFields()))}` : nothing}${
      examples.length > 0 ? html`<h3>Example${examples.length > 1 ? 's' : ''}</h3>\n${examples.map(exampleOf)}` : nothing
    }</section>
`;
  }

  private inputOf(type: GraphQLInputObjectType): Html {
    const { name, description } = type;
    return html`<h3>Input: ${this.link(name)}</h3>\n${prose(description, this.names)}${this.inputs(Object.values(type.getFields()))}`;
  }

  private type(type: GraphQLNamedType): Html {
    const { name } = type;
    // Does not list the users of standard scalars, because half of all fields are a String.
    const users = isSpecifiedScalarType(type) ? [] : (this.users.get(name) ?? []);
    const interfaces = isObjectType(type) ? type.getInterfaces() : isInterfaceType(type) ? this.schema.getPossibleTypes(type) : [];
    const related = listed(interfaces.map((other) => this.link(other.name)));
    const specification = isScalarType(type) ? type.specifiedByURL : undefined;
    return html`<section>
<h2 id="${name}">${name}</h2>
${prose(type.description, this.names)}${
      interfaces.length > 0 ? html`<p>${isInterfaceType(type) ? 'Implemented by' : 'Implements'} ${related}.</p>\n` : nothing
    }${specification ? html`<p>Specified by <a href="${specification}">${specification}</a>.</p>\n` : nothing}${this.parts(type)}${
      users.length > 0 ? html`<p class="users">Used by ${listed(users.map((user) => this.link(user)))}.</p>\n` : nothing
    }</section>
`;
  }

  private parts(type: GraphQLNamedType): Html {
    if (isEnumType(type)) {
      const rows = type.getValues().map((value) => ({
        id: `${type.name}.${value.name}`,
        cells: [html`<code>${value.name}</code>`, this.meaningOf(value)],
      }));
      return table(['Value', 'Meaning'], rows);
    }
    if (isInputObjectType(type)) return this.inputs(Object.values(type.getFields()), type.name);
    return isObjectType(type) || isInterfaceType(type) ? this.outputs(Object.values(type.getFields()), type.name) : nothing;
  }

  private inputs(fields: readonly (GraphQLArgument | GraphQLInputField)[], owner?: string): Html {
    const rows = fields.map((field) => {
      const type = html`<code>${this.typed(field.type)}</code>`;
      return {
        ...(owner !== undefined && { id: `${owner}.${field.name}` }),
        cells: [html`<code>${field.name}</code>`, type, defaultOf(field), this.meaningOf(field)],
      };
    });
    return table(['Name', 'Type', 'Default', 'Meaning'], rows);
  }

  private outputs(fields: AnyField[], owner?: string): Html {
    const rows = fields.map((field) => ({
      ...(owner !== undefined && { id: `${owner}.${field.name}` }),
      cells: [
        html`<code>${field.name}</code>`,
        html`<code>${this.typed(field.type)}</code>`,
        html`${deprecation(field, this.names)}${prose(field.description, this.names)}${this.argumentsOf(field)}`,
      ],
    }));
    return table(['Field', 'Type', 'Meaning'], rows);
  }

  private meaningOf(part: { description?: string | null | undefined; deprecationReason?: string | null | undefined }): Html {
    return html`${deprecation(part, this.names)}${line(part.description ?? '', this.names)}`;
  }

  private argumentsOf({ args }: AnyField): Html {
    if (args.length === 0) return nothing;
    const rows = args.map(({ name, type, description }) => {
      return html`<dt><code>${name}: ${this.typed(type)}</code></dt><dd>${line(description ?? '', this.names)}</dd>`;
    });
    return html`<dl>${rows}</dl>`;
  }

  private signature({ name, args, type }: AnyField): Html {
    const given = args.map((arg, index) => html`${index > 0 ? ', ' : ''}${arg.name}: ${this.typed(arg.type)}`);
    return html`<code>${name}${args.length > 0 ? html`(${given})` : nothing}: ${this.typed(type)}</code>`;
  }

  /** A type in GraphQL notation, with a link to its named type. */
  private typed(type: GraphQLType): Html {
    if (isNonNullType(type)) return html`${this.typed(getNullableType(type) as GraphQLType)}!`;
    if (isListType(type)) return html`[${this.typed(type.ofType as GraphQLType)}]`;
    const { name } = getNamedType(type);
    return html`<a href="${this.names.addressOf(name) ?? ''}">${name}</a>`;
  }

  private link(name: string): Html {
    return codeLink(name, this.names);
  }
}

function exampleOf({ document, variables }: Example): Html {
  return html`${code(document)}${variables ? html`<p>With the variables</p>\n${code(variables)}` : nothing}`;
}

/** The default value of an argument or input field, or whether it is required. */
function defaultOf({ defaultValue, type }: GraphQLArgument | GraphQLInputField): Html {
  if (defaultValue === undefined) return html`${isNonNullType(type) ? 'required' : 'optional'}`;
  return html`<code>${print(astFromValue(defaultValue, type) ?? { kind: 'NullValue' as never })}</code>`;
}

function deprecation({ deprecationReason }: { deprecationReason?: string | null | undefined }, names: Names): Html {
  return deprecationReason ? html`<strong class="deprecated">Deprecated. ${line(deprecationReason, names)}</strong> ` : nothing;
}

const listed = (parts: Html[]): Html => html`${parts.map((part, index) => html`${index > 0 ? ', ' : ''}${part}`)}`;

/** Links to the sections of a page. */
export function contents(ids: string[], titles = ids): Html {
  const items = ids.map((id, index) => html`<li><a href="#${id}">${titles[index] ?? id}</a></li>`);
  return html`<nav class="contents" aria-label="On this page"><ul>${items}</ul></nav>\n`;
}

/** For each type, the names of the fields, arguments and inputs that use it. */
function usersOf(schema: GraphQLSchema): Map<string, string[]> {
  const users = new Map<string, Set<string>>();
  const note = (type: GraphQLType, place: string): void => {
    const { name } = getNamedType(type);
    users.set(name, (users.get(name) ?? new Set()).add(place));
  };
  for (const type of typesOf(schema)) {
    if (!isObjectType(type) && !isInterfaceType(type) && !isInputObjectType(type)) continue;
    for (const field of Object.values<AnyField | GraphQLInputField>(type.getFields())) {
      note(field.type, `${type.name}.${field.name}`);
      if ('args' in field) for (const arg of field.args) note(arg.type, `${type.name}.${field.name}`);
    }
  }
  return new Map([...users].map(([name, places]) => [name, [...places]]));
}

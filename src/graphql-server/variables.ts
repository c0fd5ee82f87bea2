import { coerceInputValue, isInputType, isNonNullType, typeFromAST, type GraphQLSchema, type OperationDefinitionNode } from 'graphql';
import { MAX_ISSUES, type Issue } from '../errors';

/** Returns the problems of an operation's variables, at most MAX_ISSUES. Each path begins with the name of a variable. */
export function variableIssues(
  schema: GraphQLSchema,
  operation: OperationDefinitionNode,
  variables: Record<string, unknown>,
): Issue[] {
  const issues: Issue[] = [];
  try {
    collect(schema, operation, variables, issues);
  } catch (error) {
    if (error !== ENOUGH) throw error;
  }
  return issues;
}

/** Thrown when MAX_ISSUES problems are found, because a list can have a million of them. */
const ENOUGH = new Error('enough');

function collect(schema: GraphQLSchema, operation: OperationDefinitionNode, variables: Record<string, unknown>, issues: Issue[]): void {
  const add = (issue: Issue): void => {
    if (issues.push(issue) >= MAX_ISSUES) throw ENOUGH;
  };
  for (const { variable, type: typeNode, defaultValue } of operation.variableDefinitions ?? []) {
    const name = variable.name.value;
    const type = typeFromAST(schema, typeNode as Parameters<typeof typeFromAST>[1]);
    if (!isInputType(type)) continue; // validation refuses it
    if (Object.hasOwn(variables, name)) {
      coerceInputValue(variables[name], type, (path, _value, { message }) => add({ path: [name, ...path, ...fieldIn(message)], message }));
    } else if (!defaultValue && isNonNullType(type)) {
      add({ path: [name], message: `Variable "$${name}" of required type "${type.toString()}" was not provided.` });
    }
  }
}

/** Returns the name of a missing or unknown field, to extend the path. graphql-js reports only the path of its object. */
function fieldIn(message: string): string[] {
  const name = /^Field "(\w+)" (?:of required type "[^"]+" was not provided|is not defined by type)/.exec(message)?.[1];
  return name === undefined ? [] : [name];
}

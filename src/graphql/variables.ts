import { coerceInputValue, isInputType, isNonNullType, typeFromAST, type GraphQLSchema, type OperationDefinitionNode } from 'graphql';
import { MAX_ISSUES, type Issue } from '../errors';

/** What is wrong with an operation's variables: every problem in one list, as with REST's body; each path begins with a variable's name. */
export function variableIssues(schema: GraphQLSchema, operation: OperationDefinitionNode, variables: Record<string, unknown>): Issue[] {
  const issues: Issue[] = [];
  try {
    collect(schema, operation, variables, issues);
  } catch (error) {
    if (error !== ENOUGH) throw error;
  }
  return issues;
}

/** Thrown once no answer names another problem: a list can have a million of them. */
const ENOUGH = new Error('enough');

function collect(schema: GraphQLSchema, operation: OperationDefinitionNode, variables: Record<string, unknown>, issues: Issue[]): void {
  const add = (issue: Issue): void => {
    if (issues.push(issue) >= MAX_ISSUES) throw ENOUGH;
  };
  for (const { variable, type: typeNode, defaultValue } of operation.variableDefinitions ?? []) {
    const name = variable.name.value;
    const type = typeFromAST(schema, typeNode as Parameters<typeof typeFromAST>[1]);
    if (!isInputType(type)) continue; // validation has refused it
    if (Object.hasOwn(variables, name)) {
      coerceInputValue(variables[name], type, (path, _value, { message }) => add({ path: [name, ...path, ...fieldIn(message)], message }));
    } else if (!defaultValue && isNonNullType(type)) {
      add({ path: [name], message: `Variable "$${name}" of required type "${type.toString()}" was not provided.` });
    }
  }
}

/** graphql-js reports a field that is missing or unknown at the object that it is in; the path is to lead to the field. */
function fieldIn(message: string): string[] {
  const name = /^Field "(\w+)" (?:of required type "[^"]+" was not provided|is not defined by type)/.exec(message)?.[1];
  return name === undefined ? [] : [name];
}

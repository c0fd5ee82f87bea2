import { Kind, type DocumentNode, type FieldNode, type OperationDefinitionNode, type SelectionSetNode } from 'graphql';

/** The fields of a selection, including those in fragments. Omits introspection fields. */
export function fieldsOf(selectionSet: SelectionSetNode | undefined, document: DocumentNode): FieldNode[] {
  const fragments = new Map(
    document.definitions.flatMap((node) => (node.kind === Kind.FRAGMENT_DEFINITION ? [[node.name.value, node.selectionSet]] : [])),
  );
  const seen = new Set<string>();
  const within = (selections: SelectionSetNode | undefined): FieldNode[] =>
    selections?.selections.flatMap((node) => {
      if (node.kind === Kind.FIELD) return node.name.value.startsWith('__') ? [] : [node];
      if (node.kind === Kind.INLINE_FRAGMENT) return within(node.selectionSet);
      if (seen.has(node.name.value)) return []; // prevents exponential work for fragments that spread each other twice
      seen.add(node.name.value);
      return within(fragments.get(node.name.value));
    }) ?? [];
  return within(selectionSet);
}

/** The root fields of an operation. */
export const rootFieldsOf = (operation: OperationDefinitionNode | undefined, document: DocumentNode): FieldNode[] =>
  fieldsOf(operation?.selectionSet, document);

/** The name of a field in the answer: its alias, if it has one. */
export const answeredAs = ({ alias, name }: FieldNode): string => alias?.value ?? name.value;

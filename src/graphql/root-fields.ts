import { Kind, type DocumentNode, type FieldNode, type OperationDefinitionNode, type SelectionSetNode } from 'graphql';

/** The fields that a selection asks for, through fragments, those of the schema itself left out. */
export function fieldsOf(selectionSet: SelectionSetNode | undefined, document: DocumentNode): FieldNode[] {
  const fragments = new Map(document.definitions.flatMap((node) => (node.kind === Kind.FRAGMENT_DEFINITION ? [[node.name.value, node.selectionSet]] : [])));
  const seen = new Set<string>();
  const within = (selections: SelectionSetNode | undefined): FieldNode[] =>
    selections?.selections.flatMap((node) => {
      if (node.kind === Kind.FIELD) return node.name.value.startsWith('__') ? [] : [node];
      if (node.kind === Kind.INLINE_FRAGMENT) return within(node.selectionSet);
      if (seen.has(node.name.value)) return []; // or fragments that spread each other twice would double the work with each
      seen.add(node.name.value);
      return within(fragments.get(node.name.value));
    }) ?? [];
  return within(selectionSet);
}

/** The fields that an operation asks for at its top. */
export const rootFieldsOf = (operation: OperationDefinitionNode | undefined, document: DocumentNode): FieldNode[] => fieldsOf(operation?.selectionSet, document);

/** The name under which a field is answered. */
export const answeredAs = ({ alias, name }: FieldNode): string => alias?.value ?? name.value;

import { Kind, type DocumentNode, type OperationDefinitionNode, type SelectionSetNode } from 'graphql';

/** The mutations that are for those who have no credential yet; all others want one. */
export const PUBLIC_MUTATIONS: ReadonlySet<string> = new Set(['acceptInvitation', 'requestPasswordReset', 'resetPassword', 'signIn']);

/** Whether an operation asks for nothing that wants a credential: for the schema, and for public mutations. */
export function isPublicOperation(operation: OperationDefinitionNode, document: DocumentNode): boolean {
  return topFieldsOf(operation, document).every((field) => isPublicField(operation, field));
}

/** Whether an operation asks for a public mutation, beside whatever else. */
export function hasPublicMutation(operation: OperationDefinitionNode, document: DocumentNode): boolean {
  return topFieldsOf(operation, document).some((field) => isPublicField(operation, field));
}

const isPublicField = ({ operation }: OperationDefinitionNode, field: string): boolean => operation === 'mutation' && PUBLIC_MUTATIONS.has(field);

/** The fields that an operation asks for at its top, those of the schema itself left out. */
function topFieldsOf(operation: OperationDefinitionNode, document: DocumentNode): string[] {
  const fragments = new Map(document.definitions.flatMap((node) => (node.kind === Kind.FRAGMENT_DEFINITION ? [[node.name.value, node.selectionSet]] : [])));
  const seen = new Set<string>();
  const fieldsOf = (selections: SelectionSetNode | undefined): string[] =>
    selections?.selections.flatMap((node) => {
      if (node.kind === Kind.FIELD) return node.name.value.startsWith('__') ? [] : [node.name.value];
      if (node.kind === Kind.INLINE_FRAGMENT) return fieldsOf(node.selectionSet);
      if (seen.has(node.name.value)) return []; // or fragments that spread each other twice would double the work with each
      seen.add(node.name.value);
      return fieldsOf(fragments.get(node.name.value));
    }) ?? [];
  return fieldsOf(operation.selectionSet);
}

import type { DocumentNode, OperationDefinitionNode } from 'graphql';
import { rootFieldsOf } from './root-fields';

/** Mutations that need no credential. All others do. */
export const PUBLIC_MUTATIONS: ReadonlySet<string> = new Set(['acceptInvitation', 'requestPasswordReset', 'resetPassword', 'signIn']);

/** True if an operation needs no credential: it has only introspection fields and public mutations. */
export function isPublicOperation(operation: OperationDefinitionNode, document: DocumentNode): boolean {
  return rootFieldsOf(operation, document).every(({ name }) => isPublicField(operation, name.value));
}

/** True if an operation has at least one public mutation. */
export function hasPublicMutation(operation: OperationDefinitionNode, document: DocumentNode): boolean {
  return rootFieldsOf(operation, document).some(({ name }) => isPublicField(operation, name.value));
}

const isPublicField = ({ operation }: OperationDefinitionNode, field: string): boolean =>
  operation === 'mutation' && PUBLIC_MUTATIONS.has(field);

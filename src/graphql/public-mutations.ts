import type { DocumentNode, OperationDefinitionNode } from 'graphql';
import { rootFieldsOf } from './root-fields';

/** The mutations that are for those who have no credential yet; all others want one. */
export const PUBLIC_MUTATIONS: ReadonlySet<string> = new Set(['acceptInvitation', 'requestPasswordReset', 'resetPassword', 'signIn']);

/** Whether an operation asks for nothing that wants a credential: for the schema, and for public mutations. */
export function isPublicOperation(operation: OperationDefinitionNode, document: DocumentNode): boolean {
  return rootFieldsOf(operation, document).every(({ name }) => isPublicField(operation, name.value));
}

/** Whether an operation asks for a public mutation, beside whatever else. */
export function hasPublicMutation(operation: OperationDefinitionNode, document: DocumentNode): boolean {
  return rootFieldsOf(operation, document).some(({ name }) => isPublicField(operation, name.value));
}

const isPublicField = ({ operation }: OperationDefinitionNode, field: string): boolean => operation === 'mutation' && PUBLIC_MUTATIONS.has(field);

/** Whoever calls, on either server. */
export type Principal = OperatorPrincipal | KeyPrincipal;

/** The holder of the root key: runs the installation. */
export interface OperatorPrincipal {
  kind: 'OPERATOR';
  id: 'operator';
  name: string;
}

export interface KeyPrincipal {
  kind: 'API_KEY';
  id: string;
  name: string;
  workspaceId: string;
  projectId: string;
  permissions: readonly string[];
}

export const OPERATOR: OperatorPrincipal = { kind: 'OPERATOR', id: 'operator', name: 'Operator' };

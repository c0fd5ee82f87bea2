import type { Credential, GraphQLAnswer } from './clients';
import type { TestApp } from './app';

type Client = Pick<TestApp, 'graphql'>;
export type Mutation = (name: string, input: Record<string, unknown>, selection: string, secret?: Credential) => Promise<GraphQLAnswer>;

/** Runs mutations by their names, by default as the operator. */
export function mutations({ graphql }: Client) {
  const send: Mutation = (name, input, selection, secret) => {
    const inputType = `${name.charAt(0).toUpperCase()}${name.slice(1)}Input`;
    return graphql(`mutation ($input: ${inputType}!) { ${name}(input: $input) { ${selection} } }`, { input }, secret);
  };

  /** Runs a mutation and returns its payload. Throws if it is refused. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- each test knows the type of its answer
  const mutate = async (name: string, input: Record<string, unknown>, selection: string, secret?: Credential): Promise<any> => {
    const { data, errors } = await send(name, input, selection, secret);
    if (errors) throw new Error(`${name} was refused: ${JSON.stringify(errors)}`);
    return data[name];
  };

  /** Runs a mutation that must be refused with one error. Returns the error's code, message and issues. Throws otherwise. */
  const refusal = async (name: string, input: Record<string, unknown>, secret?: Credential) => {
    const { data, errors } = await send(name, input, '__typename', secret);
    const [error, ...others] = errors ?? [];
    if (!error || others.length > 0 || data?.[name]) throw new Error(`${name} was answered ${JSON.stringify({ data, errors })}.`);
    return { code: error.extensions.code, message: error.message, issues: error.extensions.issues };
  };

  /** Runs a mutation that must be refused as INVALID_REQUEST. Returns the paths of its issues, sorted and without duplicates. */
  const issuePaths = async (name: string, input: Record<string, unknown>): Promise<string[]> => {
    const { code, issues = [] } = await refusal(name, input);
    if (code !== 'INVALID_REQUEST') throw new Error(`${name} was refused with ${code}.`);
    return [...new Set(issues.map(({ path }) => path.join('.')))].sort();
  };

  return { mutate, refusal, issuePaths };
}

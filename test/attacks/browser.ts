import type { Answer, Client, Target } from './target';

/** A person's browser: keeps cookies and sends the server's own address as `Origin`. */
export class Browser {
  private readonly client: Client;
  private readonly cookies = new Map<string, string>();

  constructor(private readonly target: Target) {
    this.client = target.client('127.0.2.1');
  }

  async send(query: string, input?: object, headers: Record<string, string> = {}): Promise<Answer> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await this.client.graphql(
      query,
      { input },
      { origin: this.target.url, ...(cookie === '' || 'x-api-key' in headers ? {} : { cookie }), ...headers },
    );
    for (const line of answer.cookies) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === '' || /max-age=0/i.test(line)) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    return answer;
  }

  /** Throws if the mutation is refused, because the attack cannot be made then. */
  async mutate(query: string, input?: object, headers?: Record<string, string>): Promise<void> {
    const { status, code } = await this.send(query, input, headers);
    if (status !== 200 || code !== undefined) throw new Error(`The attack could not be prepared: ${status} ${code ?? ''} for ${query}`);
  }
}

import type { ModelDatabase, Reply, Session } from './database';
import { connectionLost, connectionRefused, noAnswer } from './database-errors';
import type { Network } from './faults';
import type { Owner } from './scheduler';

/** How long a client waits for one answer, as the store for MySQL does. */
const DEADLINE_MS = 5_000;

/** A node, as its connections know it. */
export interface Client extends Owner {
  /** No packet passes until then. */
  cutOffUntil: number;
}

/** A node's end of one connection to the database. */
export class Connection {
  private constructor(
    private readonly client: Client,
    private readonly database: ModelDatabase,
    private readonly network: Network,
    private readonly session: Session,
  ) {}

  /** Rejects as a driver does where nobody listens. */
  static async open(client: Client, database: ModelDatabase, network: Network): Promise<Connection> {
    await database.scheduler.wait(client, network.latencyMs());
    if (client.cutOffUntil > database.scheduler.now) {
      await database.scheduler.wait(client, DEADLINE_MS);
      throw noAnswer();
    }
    const session = network.refusesConnection() ? undefined : database.connect(client.name);
    if (!session) throw connectionRefused();
    return new Connection(client, database, network, session);
  }

  /** Sends one packet; answers what the server made of it, or rejects as a driver would. */
  exchange<T>(what: string, work: (session: Session, reply: Reply<T>) => void): Promise<T> {
    const { client, database, network, session } = this;
    const { scheduler } = database;
    const fate = network.fate(client.cutOffUntil);
    return new Promise((resolve, reject) => {
      let heard = false;
      const hear = (afterMs: number, how: () => void) =>
        scheduler.after(client, afterMs, () => {
          if (heard) return;
          heard = true;
          deadline.cancel();
          how();
        });
      const deadline = hear(DEADLINE_MS, () => reject(noAnswer()));
      const lose = () => {
        if (fate.told) hear(network.latencyMs(), () => reject(connectionLost()));
      };
      if (fate.lostRequest) {
        scheduler.note(`${client.name} loses a ${what} on its way`);
        lose();
        return;
      }
      const answer: Reply<T> = (reply) => {
        database.answered(session);
        if ('error' in reply) network.beginSpell();
        if (fate.lostAnswer) {
          scheduler.note(`${client.name} loses the answer to a ${what}`);
          lose();
          return;
        }
        hear(fate.answerMs, () => {
          if ('error' in reply) reject(reply.error);
          else resolve(reply.value);
        });
      };
      const serve = () => {
        if (heard) scheduler.note(`the server does a ${what} of ${client.name} that was given up`);
        if (!fate.refusal) return work(session, answer);
        scheduler.note(`${client.name} gets ${fate.refusal.message} for a ${what}`);
        if (fate.refusal.errno === 1213) database.rollBack(session);
        answer({ error: fate.refusal });
      };
      database.deliver(session, fate.requestMs, serve, () => hear(network.latencyMs(), () => reject(connectionLost())));
    });
  }

  /** After a transaction that ended well. */
  release(): void {
    this.database.hangUp(this.session, 0);
  }

  /** In the middle of whatever it is; the server sees it some time later. */
  destroy(): void {
    const cutOffMs = Math.max(0, this.client.cutOffUntil - this.database.scheduler.now);
    this.database.hangUp(this.session, cutOffMs + this.network.noticeMs());
  }
}

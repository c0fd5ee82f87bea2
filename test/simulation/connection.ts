import type { ModelDatabase, Reply, Session } from './database';
import { connectionLost, connectionRefused, noAnswer } from './database-errors';
import type { Network } from './faults';
import type { Owner } from './scheduler';

/** How long a client waits for one answer, the same as in the store for MySQL. */
const DEADLINE_MS = 5_000;

/** The part of a node that its connections use. */
export interface Client extends Owner {
  /** Time until which no packet passes. */
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

  /** Opens a connection. Rejects with a driver's error if the database is not reachable or refuses. */
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

  /** Sends one packet. Resolves with the server's answer, or rejects with a driver's error. */
  exchange<T>(packet: string, work: (session: Session, reply: Reply<T>) => void): Promise<T> {
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
        scheduler.note(`${client.name} loses a ${packet} on its way`);
        lose();
        return;
      }
      const answer: Reply<T> = (reply) => {
        database.answered(session);
        if ('error' in reply) network.beginSpell();
        if (fate.lostAnswer) {
          scheduler.note(`${client.name} loses the answer to a ${packet}`);
          lose();
          return;
        }
        hear(fate.answerMs, () => {
          if ('error' in reply) reject(reply.error);
          else resolve(reply.value);
        });
      };
      const serve = () => {
        if (heard) scheduler.note(`the server executes a ${packet} that ${client.name} has given up`);
        if (!fate.refusal) return work(session, answer);
        scheduler.note(`${client.name} gets ${fate.refusal.message} for a ${packet}`);
        if (fate.refusal.errno === 1213) database.rollBack(session);
        answer({ error: fate.refusal });
      };
      database.deliver(session, fate.requestMs, serve, () => hear(network.latencyMs(), () => reject(connectionLost())));
    });
  }

  /** Closes the connection after a transaction that succeeded. */
  release(): void {
    this.database.hangUp(this.session, 0);
  }

  /** Breaks the connection, even inside a transaction. The server notices some time later. */
  destroy(): void {
    const cutOffMs = Math.max(0, this.client.cutOffUntil - this.database.scheduler.now);
    this.database.hangUp(this.session, cutOffMs + this.network.noticeMs());
  }
}

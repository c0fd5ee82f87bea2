import { Field, Int, ObjectType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn, PrimaryGeneratedColumn } from 'typeorm';
import { bigintColumn, idColumn, textColumn } from '../db/columns';

/** The queue of events that are not sealed yet. Written in the transaction of the event. */
@Entity('unsealed_events')
@Index('unsealed_events_by_event', ['eventId'])
export class UnsealedEvent {
  /** Increases with every event of every node. A transaction that begins after the commit of another gets a larger number. */
  @PrimaryGeneratedColumn({ type: 'int' })
  position: number;

  @Column(idColumn)
  eventId: string;
}

/** The permanent place of an event in the trail and in its chain. */
@Entity('audit_seals')
@Index('audit_seals_by_chain', ['chainId', 'sequence'], { unique: true })
@Index('audit_seals_by_place', ['chainId', 'position'])
@Index('audit_seals_by_event', ['eventId'], { unique: true })
export class AuditSeal {
  /** 1, 2, 3 and so on over all chains. A reader that continues after a position misses no event. */
  @PrimaryColumn(bigintColumn)
  position: number;

  /** A workspace's id, or INSTALLATION. */
  @Column(idColumn)
  chainId: string;

  /** 1, 2, 3 and so on in the chain. */
  @Column(bigintColumn)
  sequence: number;

  @Column(idColumn)
  eventId: string;

  /** A hash over the event, its place and the previous hash, computed by `hashOf`. */
  @Column(textColumn(64))
  hash: string;

  /** Authenticates the hash; computed by `macOf`. Null for a seal that is older than the key of its chain. */
  @Column({ ...textColumn(64), nullable: true })
  mac: string | null;
}

@ObjectType({
  description:
    'The chain of sealed events of a workspace or of the installation. Each hash includes the previous hash, so that no event can be ' +
    'changed or removed unnoticed.',
})
@Entity('audit_chains')
export class AuditChain {
  /** A workspace's id, or INSTALLATION. */
  @PrimaryColumn(idColumn)
  id: string;

  @Field(() => Int, { name: 'length', description: 'The number of sealed events, which is the sequence of the newest one.' })
  @Column(bigintColumn)
  sequence: number;

  @Field({
    name: 'headHash',
    description: 'The hash of the newest event; empty if there is none. If you keep it elsewhere, it proves all events sealed until then.',
  })
  @Column(textColumn(64))
  hash: string;

  /** The key of this chain, encrypted by `ChainKeys`. Null if the previous version created the chain. */
  @Column({ ...textColumn(255), nullable: true })
  wrappedKey: string | null;
}

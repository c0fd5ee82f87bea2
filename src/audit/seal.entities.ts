import { Field, Int, ObjectType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn, PrimaryGeneratedColumn } from 'typeorm';
import { bigintColumn, idColumn, textColumn } from '../db/columns';

/** An event that is committed and not sealed yet; written with the event, in one transaction. */
@Entity('unsealed_events')
@Index('unsealed_events_by_event', ['eventId'])
export class UnsealedEvent {
  /** Grows with every event of every node. Whoever begins after another has committed has the greater one. */
  @PrimaryGeneratedColumn({ type: 'int' })
  position: number;

  @Column(idColumn)
  eventId: string;
}

/** The place of an event in the trail and in its chain, for good. */
@Entity('audit_seals')
@Index('audit_seals_by_chain', ['chainId', 'sequence'], { unique: true })
@Index('audit_seals_by_place', ['chainId', 'position'])
@Index('audit_seals_by_event', ['eventId'], { unique: true })
export class AuditSeal {
  /** 1, 2, 3 and so on over all chains: whoever has read up to one misses nothing by reading on from there. */
  @PrimaryColumn(bigintColumn)
  position: number;

  /** A workspace's id, or INSTALLATION. */
  @Column(idColumn)
  chainId: string;

  /** 1, 2, 3 and so on in its chain. */
  @Column(bigintColumn)
  sequence: number;

  @Column(idColumn)
  eventId: string;

  /** Of the event, its place and the hash before, as `hashOf` makes it. */
  @Column(textColumn(64))
  hash: string;

  /** Authenticates the hash, as `macOf` makes it; null for a seal that is older than the key of its chain. */
  @Column({ ...textColumn(64), nullable: true })
  mac: string | null;
}

@ObjectType({
  description:
    'The sealed events of a workspace, or of the installation, each of whose hashes carries the one before: none can be changed or taken out of it unseen.',
})
@Entity('audit_chains')
export class AuditChain {
  /** A workspace's id, or INSTALLATION. */
  @PrimaryColumn(idColumn)
  id: string;

  @Field(() => Int, { name: 'length', description: 'How many events are sealed: the sequence of the newest.' })
  @Column(bigintColumn)
  sequence: number;

  @Field({
    name: 'headHash',
    description: 'The hash of the newest; empty where there is none. Kept elsewhere, it proves all that was sealed up to then.',
  })
  @Column(textColumn(64))
  hash: string;
  /** What `ChainKeys` makes of the key of this chain; null where the version before has begun it. */
  @Column({ ...textColumn(255), nullable: true })
  wrappedKey: string | null;
}

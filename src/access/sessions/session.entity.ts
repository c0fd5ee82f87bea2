import { Field, ID, ObjectType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { idColumn, instantColumn, textColumn } from '../../db/columns';
import { Node } from '../../lib/graphql-types';

@ObjectType({ implements: Node, description: 'A sign-in of a person in a browser.' })
@Entity('sessions')
@Index('sessions_by_digest', ['digest'], { unique: true })
@Index('sessions_by_user', ['userId', 'createdAt', 'id'])
export class Session implements Node {
  @Field(() => ID, { description: 'Begins with `ses_`.' })
  @PrimaryColumn(idColumn)
  id: string;

  /** HMAC-SHA256 of the cookie's token with the pepper, base64url. */
  @Column(textColumn(43))
  digest: string;

  @Column(idColumn)
  userId: string;

  @Field({ description: 'Time of the sign-in.' })
  @Column(instantColumn)
  createdAt: Date;

  @Field({ description: 'Time of the last use, exact to five minutes.' })
  @Column(instantColumn)
  lastSeenAt: Date;

  @Field({ description: 'Time when it ends. It ends earlier if it is not used for 12 hours.' })
  @Column(instantColumn)
  expiresAt: Date;

  @Field(() => Date, { nullable: true, description: 'Time when it was ended by a sign-out or another change, or null.' })
  @Column({ ...instantColumn, nullable: true })
  endedAt: Date | null;

  @Field(() => String, { nullable: true, description: 'The network address of the sign-in.' })
  @Column({ ...textColumn(45), nullable: true })
  ip: string | null;

  @Field(() => String, { nullable: true, description: 'The User-Agent header of the sign-in.' })
  @Column({ ...textColumn(255), nullable: true })
  userAgent: string | null;
}

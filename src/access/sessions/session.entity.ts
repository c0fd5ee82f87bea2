import { Field, ID, ObjectType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { idColumn, instantColumn, textColumn } from '../../db/columns';

@ObjectType({ description: 'A browser in which a person has signed in.' })
@Entity('sessions')
@Index('sessions_by_digest', ['digest'], { unique: true })
@Index('sessions_by_user', ['userId', 'createdAt', 'id'])
export class Session {
  @Field(() => ID, { description: 'Begins with `ses_`.' })
  @PrimaryColumn(idColumn)
  id: string;

  /** HMAC-SHA256 of the cookie's token with the pepper, base64url. */
  @Column(textColumn(43))
  digest: string;

  @Column(idColumn)
  userId: string;

  @Field({ description: 'When they signed in.' })
  @Column(instantColumn)
  createdAt: Date;

  @Field({ description: 'When it was last used, to five minutes.' })
  @Column(instantColumn)
  lastSeenAt: Date;

  @Field({ description: 'When it ends at the latest; earlier where it is not used for 12 hours.' })
  @Column(instantColumn)
  expiresAt: Date;

  @Field(() => Date, { nullable: true, description: 'When it was ended; null while it was not.' })
  @Column({ ...instantColumn, nullable: true })
  endedAt: Date | null;

  @Field(() => String, { nullable: true, description: 'The address that they signed in from.' })
  @Column({ ...textColumn(45), nullable: true })
  ip: string | null;

  @Field(() => String, { nullable: true, description: 'What the browser called itself.' })
  @Column({ ...textColumn(255), nullable: true })
  userAgent: string | null;
}

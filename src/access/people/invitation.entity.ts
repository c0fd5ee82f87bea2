import { Field, ID, ObjectType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { idColumn, instantColumn, textColumn } from '../../db/columns';

@ObjectType({ description: 'What lets a person into a workspace, once, by a link that only they get.' })
@Entity('invitations')
@Index('invitations_by_digest', ['digest'], { unique: true })
@Index('invitations_by_age', ['workspaceId', 'createdAt', 'id'])
export class Invitation {
  @Field(() => ID, { description: 'Begins with `inv_`.' })
  @PrimaryColumn(idColumn)
  id: string;

  @Column(idColumn)
  workspaceId: string;

  @Field({ description: 'Whom it is for, in lower case.' })
  @Column(textColumn(254))
  email: string;

  @Column(idColumn)
  roleId: string;

  /** HMAC-SHA256 of the link's token with the pepper, base64url. */
  @Column(textColumn(43))
  digest: string;

  /** Whoever acted: a person, a key or the operator. */
  @Column(idColumn)
  invitedBy: string;

  @Field({ description: 'Until when the link works.' })
  @Column(instantColumn)
  expiresAt: Date;

  @Column({ ...instantColumn, nullable: true })
  acceptedAt: Date | null;

  @Field(() => Date, { nullable: true, description: 'When it was withdrawn; null while it was not.' })
  @Column({ ...instantColumn, nullable: true })
  withdrawnAt: Date | null;

  @Field({ description: 'When it was made.' })
  @Column(instantColumn)
  createdAt: Date;
}

import { Field, ID, ObjectType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { idColumn, instantColumn, textColumn } from '../../db/columns';
import { Node } from '../../lib/graphql-types';

@ObjectType({ implements: Node, description: 'Lets a person join a workspace once, by a link that only they receive.' })
@Entity('invitations')
@Index('invitations_by_digest', ['digest'], { unique: true })
@Index('invitations_by_age', ['workspaceId', 'createdAt', 'id'])
export class Invitation implements Node {
  @Field(() => ID, { description: 'Begins with `inv_`.' })
  @PrimaryColumn(idColumn)
  id: string;

  @Column(idColumn)
  workspaceId: string;

  @Field({ description: 'The e-mail address of the invited person, in lower case.' })
  @Column(textColumn(254))
  email: string;

  @Column(idColumn)
  roleId: string;

  /** HMAC-SHA256 of the link's token with the pepper, base64url. */
  @Column(textColumn(43))
  digest: string;

  /** Id of the actor that invited: a person, a key, a service account, a consent or the operator. */
  @Column(idColumn)
  invitedBy: string;

  @Field({ description: 'Time when the link stops working.' })
  @Column(instantColumn)
  expiresAt: Date;

  @Column({ ...instantColumn, nullable: true })
  acceptedAt: Date | null;

  @Field(() => Date, { nullable: true, description: 'Time when it was withdrawn, or null.' })
  @Column({ ...instantColumn, nullable: true })
  withdrawnAt: Date | null;

  @Field({ description: 'Time when it was created.' })
  @Column(instantColumn)
  createdAt: Date;
}

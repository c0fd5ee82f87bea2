import { Field, ID, Int, ObjectType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { idColumn, instantColumn, textColumn } from '../db/columns';
import { MaxItems, Node } from '../lib/graphql-types';
import { VERSION } from '../lib/version-descriptions';
import { MAX_REDIRECT_URIS } from './redirect-uris';

@ObjectType({
  implements: Node,
  description: 'An application that people can authorise to act for them, with OAuth 2 or OpenID Connect.',
})
@Entity('oauth_clients')
@Index('oauth_clients_by_age', ['workspaceId', 'createdAt', 'id'])
export class OAuthClient implements Node {
  @Field(() => ID, { description: 'Its `client_id`. Begins with `app_`.' })
  @PrimaryColumn(idColumn)
  id: string;

  @Column(idColumn)
  workspaceId: string;

  @Field({ description: 'Name on the consent page: 1 to 100 characters.' })
  @Column(textColumn(100))
  name: string;

  @MaxItems(MAX_REDIRECT_URIS)
  @Field(() => [String], { description: 'Redirect addresses. A request must name one of them exactly.' })
  @Column('simple-json')
  redirectUris: string[];

  /** HMAC-SHA256 of the secret with the pepper, base64url. Null for a public client. */
  @Column({ ...textColumn(43), nullable: true })
  secretDigest: string | null;

  @Field(() => String, { nullable: true, description: 'First and last characters of the secret. Null for a public client.' })
  @Column({ ...textColumn(32), nullable: true })
  hint: string | null;

  @Field(() => Date, { nullable: true, description: 'Time of deletion, or null.' })
  @Column({ ...instantColumn, nullable: true })
  deletedAt: Date | null;

  @Field(() => Int, { description: VERSION })
  @Column('int', { default: 1 })
  version: number;

  @Field({ description: 'Time of creation.' })
  @Column(instantColumn)
  createdAt: Date;

  @Field({ description: 'Whether it has a secret. A public client has none, because it runs on a person’s device and cannot keep one.' })
  get confidential(): boolean {
    return this.secretDigest !== null;
  }
}

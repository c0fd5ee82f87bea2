import { Field, ID, Int, ObjectType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { idColumn, instantColumn, textColumn } from '../db/columns';
import { MaxItems } from '../lib/graphql-types';
import { VERSION } from '../lib/versions';
import { MAX_REDIRECT_URIS } from './redirect-uris';

@ObjectType({ description: 'An application that people let act for them, by OAuth 2 or OpenID Connect.' })
@Entity('oauth_clients')
@Index('oauth_clients_by_age', ['workspaceId', 'createdAt', 'id'])
export class OAuthClient {
  @Field(() => ID, { description: 'Its `client_id`. Begins with `app_`.' })
  @PrimaryColumn(idColumn)
  id: string;

  @Column(idColumn)
  workspaceId: string;

  @Field({ description: 'What people who are asked read: 1 to 100 characters.' })
  @Column(textColumn(100))
  name: string;

  @MaxItems(MAX_REDIRECT_URIS)
  @Field(() => [String], { description: 'Where people are sent back to, word for word.' })
  @Column('simple-json')
  redirectUris: string[];

  /** HMAC-SHA256 of the secret with the pepper, base64url; null for a public one. */
  @Column({ ...textColumn(43), nullable: true })
  secretDigest: string | null;

  @Field(() => String, { nullable: true, description: 'Enough to recognise the secret and too little to use it; null for a public one.' })
  @Column({ ...textColumn(32), nullable: true })
  hint: string | null;

  @Field(() => Date, { nullable: true, description: 'When it was deleted; null while it was not.' })
  @Column({ ...instantColumn, nullable: true })
  deletedAt: Date | null;

  @Field(() => Int, { description: VERSION })
  @Column('int', { default: 1 })
  version: number;

  @Field({ description: 'When it was made.' })
  @Column(instantColumn)
  createdAt: Date;

  @Field({ description: 'Whether it keeps a secret. One that runs on a person’s device cannot.' })
  get confidential(): boolean {
    return this.secretDigest !== null;
  }
}

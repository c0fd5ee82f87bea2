import { Column, Entity, PrimaryColumn } from 'typeorm';
import { instantColumn } from '../db/columns';

/** A key that signs ID tokens. */
@Entity('oauth_signing_keys')
export class SigningKey {
  /** Counts from 1. It is the primary key, so that only one node succeeds if several make the next key. */
  @PrimaryColumn('int')
  number: number;

  /** The private key as a JWK, encrypted. */
  @Column('text')
  sealed: string;

  @Column(instantColumn)
  createdAt: Date;
}

import { Column, Entity, PrimaryColumn } from 'typeorm';
import { instantColumn } from '../db/columns';

/** A key that signs ID tokens. */
@Entity('oauth_signing_keys')
export class SigningKey {
  /** From 1 on: of nodes that make the next one together, one wins. */
  @PrimaryColumn('int')
  number: number;

  /** The private key as a JWK, encrypted. */
  @Column('text')
  sealed: string;

  @Column(instantColumn)
  createdAt: Date;
}

import { Field, ID, ObjectType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { bigintColumn, idColumn, instantColumn, textColumn } from '../../db/columns';
import { Node } from '../../lib/graphql-types';

@ObjectType('User', { implements: Node, description: 'A person who signs in with an e-mail address and a password.' })
@Entity('people')
@Index('people_by_email', ['email'], { unique: true })
export class Person implements Node {
  @Field(() => ID, { description: 'Begins with `usr_`.' })
  @PrimaryColumn(idColumn)
  id: string;

  @Field({ description: 'In lower case; unique.' })
  @Column(textColumn(254))
  email: string;

  @Field({ description: 'Their name: 1 to 100 characters.' })
  @Column(textColumn(100))
  name: string;

  /** In the format of Argon2, with its parameters and salt. */
  @Column(textColumn(255))
  passwordHash: string;

  @Column(instantColumn)
  passwordChangedAt: Date;

  /** The secret in use, encrypted, or null without a second factor. */
  @Column({ ...textColumn(255), nullable: true })
  totpSecret: string | null;

  /** Time from which a sign-in needs a code, or null if it needs none. */
  @Column({ ...instantColumn, nullable: true })
  totpEnabledAt: Date | null;

  /** The time step of the last used code. Codes of this step and of earlier ones are refused. */
  @Column({ ...bigintColumn, nullable: true })
  totpLastStep: number | null;

  /** The secret that is being set up, encrypted. It replaces `totpSecret` when a code proves that the authenticator has it. */
  @Column({ ...textColumn(255), nullable: true })
  totpStagedSecret: string | null;

  @Column(instantColumn)
  createdAt: Date;

  @Field({ description: 'Whether a sign-in needs a code in addition to the password.' })
  get secondFactorEnabled(): boolean {
    return this.totpEnabledAt !== null;
  }
}

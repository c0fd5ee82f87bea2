import { Field, ID, ObjectType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { bigintColumn, idColumn, instantColumn, textColumn } from '../../db/columns';

@ObjectType('User', { description: 'A person, who signs in with an e-mail address and a password.' })
@Entity('people')
@Index('people_by_email', ['email'], { unique: true })
export class Person {
  @Field(() => ID, { description: 'Begins with `usr_`.' })
  @PrimaryColumn(idColumn)
  id: string;

  @Field({ description: 'In lower case; nobody else has it.' })
  @Column(textColumn(254))
  email: string;

  @Field({ description: 'What people call them: 1 to 100 characters.' })
  @Column(textColumn(100))
  name: string;

  /** As argon2 writes it, with its parameters and its salt. */
  @Column(textColumn(255))
  passwordHash: string;

  @Column(instantColumn)
  passwordChangedAt: Date;

  /** Encrypted, as the next one. That in force. */
  @Column({ ...textColumn(255), nullable: true })
  totpSecret: string | null;

  /** From when on a sign-in wants a code; null while none is wanted. */
  @Column({ ...instantColumn, nullable: true })
  totpEnabledAt: Date | null;

  /** The step whose code was used last: neither it nor an earlier one works again. */
  @Column({ ...bigintColumn, nullable: true })
  totpLastStep: number | null;

  /** One that they are setting up: in force, in the place of another, once a code of it has come. */
  @Column({ ...textColumn(255), nullable: true })
  totpStagedSecret: string | null;

  @Column(instantColumn)
  createdAt: Date;

  @Field({ description: 'Whether a sign-in wants a code besides the password.' })
  get secondFactorEnabled(): boolean {
    return this.totpEnabledAt !== null;
  }
}

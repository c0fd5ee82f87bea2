import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { instantColumn, textColumn } from '../../db/columns';

/** How far something that may be done only so often has been used up. */
@Entity('throttles')
@Index('throttles_by_arrival', ['theoreticalArrivalAt'])
export class Throttle {
  @PrimaryColumn(textColumn(100))
  name: string;

  /** GCRA's one number; in the past where nothing is used up. */
  @Column(instantColumn)
  theoreticalArrivalAt: Date;
}

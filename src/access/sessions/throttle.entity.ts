import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { instantColumn, textColumn } from '../../db/columns';

/** The used part of an allowance. */
@Entity('throttles')
@Index('throttles_by_arrival', ['theoreticalArrivalAt'])
export class Throttle {
  @PrimaryColumn(textColumn(100))
  name: string;

  /** The theoretical arrival time of GCRA. A time in the past means that nothing is used. */
  @Column(instantColumn)
  theoreticalArrivalAt: Date;
}

import { Column, Entity, PrimaryColumn } from 'typeorm';
import { textColumn } from '../db/columns';

/** A named value that is the same for all processes on one database. */
@Entity('settings')
export class Setting {
  @PrimaryColumn(textColumn(64))
  name: string;

  @Column(textColumn(255))
  value: string;
}

import { Column, Entity, PrimaryColumn } from 'typeorm';
import { textColumn } from '../db/columns';

/** What all processes on one database must agree on, each by a name of its own. */
@Entity('settings')
export class Setting {
  @PrimaryColumn(textColumn(64))
  name: string;

  @Column(textColumn(255))
  value: string;
}

import { validate as isUuid } from 'uuid';
import { z } from 'zod';
import { ACTION_PATTERN } from '../actions/action.service';

/** The body of an execute call. The OpenAPI document is made of this very schema. */
export const executeBody = z
  .strictObject({
    action: z
      .string('must be a string')
      .regex(ACTION_PATTERN, 'must be 1 to 128 of letters, digits, _, . and -, a letter first')
      .meta({ description: 'The action to run, such as `biofrq.detect`.', example: 'demo.echo' }),
    requestId: z
      .string('must be a string')
      .refine(isUuid, 'must be a UUID')
      .meta({ format: 'uuid', description: 'Chosen by a caller that may retry: repeated within 24 hours of a success, it brings the same answer again.' })
      .optional(),
    params: z
      .custom<Record<string, unknown>>((value) => typeof value === 'object' && value !== null && !Array.isArray(value), 'must be an object')
      .meta({
        type: 'object',
        additionalProperties: true,
        description: 'What the action is given, as it is written: numbers keep every digit. No object may have one name twice.',
        example: { hello: 'world' },
      }),
    debug: z.boolean('must be true or false').meta({ description: 'Handed to the action.' }).optional(),
  }, 'must be a JSON object')
  .meta({ id: 'ExecuteRequest' });

export type ExecuteBody = z.output<typeof executeBody>;

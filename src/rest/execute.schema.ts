import { validate as isUuid } from 'uuid';
import { z } from 'zod';
import { ACTION_PATTERN } from '../actions/action.service';

/** The body of an execute call. The OpenAPI document is generated from this schema. */
export const executeBody = z
  .strictObject({
    action: z
      .string('must be a string')
      .regex(ACTION_PATTERN, 'must be 1 to 128 letters, digits, _, . and -; the first is a letter')
      .meta({ description: 'The action to run, such as `biofrq.detect`.', example: 'demo.echo' }),
    requestId: z
      .string('must be a string')
      .refine(isUuid, 'must be a UUID')
      .meta({
        format: 'uuid',
        description: 'Makes retries safe: a repeated id within 24 hours of a success gets the same answer and is not billed again.',
      })
      .optional(),
    params: z
      .custom<Record<string, unknown>>((value) => typeof value === 'object' && value !== null && !Array.isArray(value), 'must be an object')
      .meta({
        type: 'object',
        additionalProperties: true,
        description: 'Input of the action, passed on unchanged: numbers keep every digit. No object may have two members of the same name.',
        example: { hello: 'world' },
      }),
    debug: z.boolean('must be true or false').meta({ description: 'Passed on to the action.' }).optional(),
  }, 'must be a JSON object')
  .meta({ id: 'ExecuteRequest' });

export type ExecuteBody = z.output<typeof executeBody>;

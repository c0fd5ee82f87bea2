import { Ctx, Query, Resolver } from 'type-graphql';
import { GraphQLContext } from '../graphql/context';
import { Viewer, viewerOf } from './viewer';

@Resolver()
export class ViewerResolver {
  @Query(() => Viewer, { description: 'The caller and its permissions.' })
  viewer(@Ctx() { caller }: GraphQLContext): Viewer {
    return viewerOf(caller);
  }
}

import type { EntityManager } from 'typeorm';
import { Args, Ctx, FieldResolver, Resolver, Root } from 'type-graphql';
import { GraphQLContext, by } from '../../graphql/context';
import { connectionOf, type Connection } from '../../lib/graphql-types';
import { PageArgs } from '../../lib/page-args';
import { Workspace } from '../../tenancy/workspace.entity';
import { Role } from '../roles/role.entity';
import { listMembers, rolesById } from './member.queries';
import { Membership } from './membership.entity';
import { Person } from './person.entity';

const MembershipConnection = connectionOf(Membership, 'Membership');

@Resolver(() => Membership)
export class MembershipResolver {
  @FieldResolver(() => Person, { description: 'Who it is.' })
  user(@Root() { userId }: Membership, @Ctx() ctx: GraphQLContext): Promise<Person> {
    return ctx.need(by(Person), userId);
  }

  @FieldResolver(() => Workspace, { description: 'Where.' })
  workspace(@Root() { workspaceId }: Membership, @Ctx() ctx: GraphQLContext): Promise<Workspace> {
    return ctx.need(by(Workspace), workspaceId);
  }

  @FieldResolver(() => Role, { nullable: true, description: 'As what; null where the role is gone, which grants nothing.' })
  role(@Root() { roleId }: Membership, @Ctx() ctx: GraphQLContext): Promise<Role | null> {
    return ctx.load(rolesById, roleId);
  }

  @FieldResolver(() => Boolean, { description: 'Whether they may do nothing there until they have a second factor.' })
  async secondFactorMissing(@Root() { userId, workspaceId }: Membership, @Ctx() ctx: GraphQLContext): Promise<boolean> {
    const [workspace, person] = await Promise.all([ctx.need(by(Workspace), workspaceId), ctx.need(by(Person), userId)]);
    return workspace.requiresSecondFactor && !person.secondFactorEnabled;
  }
}

@Resolver(() => Workspace)
export class WorkspaceMembersResolver {
  constructor(private readonly reader: EntityManager) {}

  @FieldResolver(() => MembershipConnection, { nullable: true, description: 'Its people, those who joined last first.' })
  async members(@Root() { id }: Workspace, @Args() page: PageArgs, @Ctx() ctx: GraphQLContext): Promise<Connection<Membership>> {
    ctx.require('read.members', { workspaceId: id });
    return listMembers(this.reader, id, page);
  }
}

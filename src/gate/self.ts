import type { CredentialKind } from '../access/secret';
import type { Database } from '../db/database';
import { TollgateError } from '../errors';
import type { Time } from '../lib/time';
import { Project } from '../tenancy/project.entity';
import { Budget } from '../wallet/wallet.entity';
import { isPlaced, type PlacedCredential } from './call';
import { callerRefusal } from './checks';
import type { RateReport } from './items';
import type { CallPlaces } from './load/call-places';
import type { KeptBytes } from './load/kept-bytes';
import type { LookUps } from './look-ups';
import { presentStanding } from './rate-limit';
import { readInTime } from './read-in-time';

/** A credential that asks about itself. */
export interface SelfRequest {
  secret: string;
  credentialKind: CredentialKind;
  namedProjectId: string | null;
  statedProjectId: string | null;
  ip: string | null;
}

/** A credential with its project, the state of its rate limit and the credits that it can spend. */
export interface Self {
  credential: PlacedCredential;
  projectName: string;
  rate: RateReport;
  availableMicroCredits: number;
}

export interface SelfReaderDeps {
  database: Pick<Database, 'lookups' | 'now'>;
  lookUps: Pick<LookUps, 'find'>;
  places: CallPlaces;
  time: Time;
  digest(text: string): string;
  /** Makes the byte count of a request that keeps nothing. */
  keptBytes(): KeptBytes;
  /** Counts one more unknown secret. */
  countUnknown(): void;
}

/** Reads what a credential may use. Costs no credit and uses no rate. */
export class SelfReader {
  constructor(private readonly deps: SelfReaderDeps) {}

  /** Reads everything anew. Throws the refusal that a call with this credential would get, and SERVICE_UNAVAILABLE. */
  async read({ secret, ip, ...request }: SelfRequest): Promise<Self> {
    const { places, lookUps, digest, keptBytes } = this.deps;
    if (!places.enter()) throw new TollgateError('SERVICE_UNAVAILABLE');
    const placed = { kept: keptBytes(), placeInProject: null };
    try {
      const credential = await lookUps.find({ ...request, digest: digest(secret) });
      if (!credential) this.deps.countUnknown();
      const nowMs = (await readInTime(this.deps.database.now())).getTime();
      const refusal = callerRefusal({ ip, statedProjectId: request.statedProjectId }, credential, nowMs);
      if (refusal || !credential) throw new TollgateError(refusal?.code ?? 'INVALID_API_KEY', undefined, refusal?.details);
      if (!isPlaced(credential)) throw new Error(`A call of ${credential.id} passed the checks without a project.`);
      const { projectId: id, workspaceId: group } = credential;
      if (!places.reserve(placed, { id, group })) throw new TollgateError('SERVICE_UNAVAILABLE');
      return await this.stateOf(credential, nowMs);
    } finally {
      places.leave(placed);
    }
  }

  private async stateOf(credential: PlacedCredential, nowMs: number): Promise<Self> {
    const { lookups } = this.deps.database;
    const { projectId, limit } = credential;
    const named = lookups.findOneOrFail(Project, { select: { id: true, name: true }, where: { id: projectId } });
    const [budget, { name: projectName }] = await readInTime(Promise.all([lookups.findOneByOrFail(Budget, { projectId }), named]));
    const rate: RateReport = { limit, ...presentStanding(budget, limit, nowMs * 1_000), asOfMs: this.deps.time.now() };
    return { credential, projectName, rate, availableMicroCredits: budget.balance - budget.held };
  }
}

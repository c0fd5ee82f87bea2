import type { IncomingMessage } from 'node:http';
import ipaddr from 'ipaddr.js';
import { forwardedAddress, isInBlocks, parseBlock } from '../lib/cidr';

/** Most addresses in the cache. Parsing is slow, and many calls come from the same few addresses. */
const MAX_KEPT = 1_000;

/** The addresses of this machine itself. */
export const LOOPBACK: readonly string[] = ['127.0.0.0/8', '::1'];

/** Finds the address of a client: the peer of the socket, or the address that trusted proxies report in `X-Forwarded-For`. */
export class ClientAddresses {
  private readonly trusted: readonly string[];
  private readonly kept = new Map<string, string | null>();

  /** `trustedProxies` are addresses and CIDR blocks. */
  constructor(trustedProxies: readonly string[]) {
    this.trusted = trustedProxies.map(blockOf);
  }

  /** Whether the peer of a socket is a trusted proxy. */
  isTrusted(peer: string): boolean {
    const address = this.trusted.length === 0 ? null : forwardedAddress(peer);
    return address !== null && isInBlocks(address, this.trusted);
  }

  /** Returns the address in canonical form, or null if the connection has closed. */
  of({ socket, headers }: IncomingMessage): string | null {
    const forwarded = this.trusted.length === 0 ? undefined : headers['x-forwarded-for'];
    const key = forwarded === undefined ? (socket.remoteAddress ?? '') : `${socket.remoteAddress} ${String(forwarded)}`;
    const known = this.kept.get(key);
    if (known !== undefined) return known;
    const address = this.read(socket.remoteAddress ?? '', String(forwarded ?? ''));
    if (this.kept.size >= MAX_KEPT) this.kept.clear();
    this.kept.set(key, address);
    return address;
  }

  /**
   * Walks `X-Forwarded-For` from right to left while the address that added an entry is a trusted proxy. Stops at an entry that is not an
   * address: the proxy that forwarded it then counts as the client.
   */
  private read(peer: string, forwarded: string): string | null {
    let address = forwardedAddress(peer);
    for (const entry of forwarded.split(',').reverse()) {
      if (address === null || !isInBlocks(address, this.trusted)) break;
      const before = forwardedAddress(entry);
      if (before === null) break;
      address = before;
    }
    return address;
  }
}

/** Normalises an address or CIDR block from the configuration to a block. */
function blockOf(text: string): string {
  const [network, bits] = ipaddr.isValidCIDR(text) ? ipaddr.parseCIDR(text) : [ipaddr.parse(text), undefined];
  const block = parseBlock(bits === undefined ? network.toString() : `${network.toString()}/${bits}`);
  if (block === undefined) throw new Error(`${text} is not an IP address or CIDR block.`);
  return block;
}

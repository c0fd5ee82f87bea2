import type { IncomingMessage } from 'node:http';
import ipaddr from 'ipaddr.js';
import { forwardedAddress, isInBlocks, parseBlock } from '../lib/cidr';

/** Answers that are kept: calls come in streams from the same addresses, and reading one is slow. */
const MAX_KEPT = 1_000;

/** Finds the address of a request's sender: that of the socket, or what trusted proxies say in `X-Forwarded-For`. */
export class ClientAddresses {
  private readonly trusted: readonly string[];
  private readonly kept = new Map<string, string | null>();

  /** Takes addresses and CIDR blocks of trusted proxies. */
  constructor(trustedProxies: readonly string[]) {
    this.trusted = trustedProxies.map(blockOf);
  }

  /** The address, as addresses are written here; null if the connection has closed. */
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

  /** From the right, as far as proxies are trusted. An entry that is no address ends the reading: the proxy that handed it on is the sender then. */
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

/** The block of a trusted proxy, in every form that the configuration takes. */
function blockOf(text: string): string {
  const [network, bits] = ipaddr.isValidCIDR(text) ? ipaddr.parseCIDR(text) : [ipaddr.parse(text), undefined];
  const block = parseBlock(bits === undefined ? network.toString() : `${network.toString()}/${bits}`);
  if (block === undefined) throw new Error(`${text} is no block of addresses.`);
  return block;
}

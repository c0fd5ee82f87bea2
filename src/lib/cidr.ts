import ipaddr from 'ipaddr.js';

/**
 * Normalises a CIDR block to its shortest form. A single address becomes a block that holds only this address. Returns undefined if
 * `text` is neither.
 */
export function parseBlock(text: string): string | undefined {
  const [address, mask, ...rest] = text.split('/');
  if (!address || rest.length > 0 || !isAddress(address)) return undefined;
  const parsed = ipaddr.process(address);
  const bits = parsed.kind() === 'ipv4' ? 32 : 128;
  if (mask === undefined) return `${parsed.toString()}/${bits}`;
  if (!/^(0|[1-9][0-9]{0,2})$/.test(mask)) return undefined;
  // ::ffff:10.0.0.0/104 is 10.0.0.0/8 written as IPv6
  const prefix = Number(mask) - (parsed.kind() === 'ipv4' && address.includes(':') ? 96 : 0);
  if (prefix < 0 || prefix > bits) return undefined;
  const network =
    parsed.kind() === 'ipv4'
      ? ipaddr.IPv4.networkAddressFromCIDR(`${parsed.toString()}/${prefix}`)
      : ipaddr.IPv6.networkAddressFromCIDR(`${parsed.toString()}/${prefix}`);
  return `${network.toString()}/${prefix}`;
}

/** Whether one of the blocks holds the address. The blocks must come from `parseBlock`. */
export function isInBlocks(address: string, blocks: readonly string[]): boolean {
  if (!isAddress(address)) return false;
  const parsed = ipaddr.process(address);
  return blocks.some((block) => {
    const [network, bits] = ipaddr.parseCIDR(block);
    return network.kind() === parsed.kind() && parsed.match(network, bits);
  });
}

// The library would also accept 127.1 and 0x7f000001, which are easy to misread.
function isAddress(text: string): boolean {
  return text.includes(':') ? ipaddr.IPv6.isValid(text) && !text.includes('%') : ipaddr.IPv4.isValidFourPartDecimal(text);
}

/** Normalises an address; IPv4 inside IPv6 becomes IPv4. Returns null if `text` is no address, because a proxy can send anything. */
export function plainAddress(text: string): string | null {
  return isAddress(text) ? ipaddr.process(text).toString() : null;
}

/**
 * Normalises the address in an entry of `X-Forwarded-For` or of a socket: without port, brackets or zone. Returns null if it is no address.
 * Reads `203.0.113.7:41234`, `[2001:db8::1]:443`, `[2001:db8::1]`, `fe80::1%eth0` and IPv4 within IPv6.
 */
export function forwardedAddress(entry: string): string | null {
  const text = entry.trim();
  if (text.length > MAX_ENTRY_LENGTH) return null;
  const bracketed = /^"?\[([^\]]*)\](:[0-9]{1,5})?"?$/.exec(text)?.[1];
  const withPort = /^([0-9.]+):[0-9]{1,5}$/.exec(text)?.[1];
  return plainAddress((bracketed ?? withPort ?? text).replace(/^([0-9a-f:.]+)%[\w.-]+$/i, '$1'));
}

/** Longer than any address with its zone and port. */
const MAX_ENTRY_LENGTH = 100;

/** Groups addresses by customer. In IPv6 a customer has a whole /64 block, which is 2^64 addresses. */
export const customerAt = (ip: string | null): string => (ip?.includes(':') ? parseBlock(`${ip}/64`) : ip) ?? 'unknown';

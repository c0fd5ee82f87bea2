import ipaddr from 'ipaddr.js';

/** `text` as a CIDR block in its shortest form, an address alone as the block of just itself; undefined where it is neither. */
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
  const network = parsed.kind() === 'ipv4' ? ipaddr.IPv4.networkAddressFromCIDR(`${parsed.toString()}/${prefix}`) : ipaddr.IPv6.networkAddressFromCIDR(`${parsed.toString()}/${prefix}`);
  return `${network.toString()}/${prefix}`;
}

/** Whether one of the blocks, as `parseBlock` gives them, holds the address. */
export function isInBlocks(address: string, blocks: readonly string[]): boolean {
  if (!isAddress(address)) return false;
  const parsed = ipaddr.process(address);
  return blocks.some((block) => {
    const [network, bits] = ipaddr.parseCIDR(block);
    return network.kind() === parsed.kind() && parsed.match(network, bits);
  });
}

// The library also takes 127.1 and 0x7f000001, which people read differently.
function isAddress(text: string): boolean {
  return text.includes(':') ? ipaddr.IPv6.isValid(text) && !text.includes('%') : ipaddr.IPv4.isValidFourPartDecimal(text);
}

/** An address as it is written everywhere here, IPv4 within IPv6 as IPv4; null for what is none, as a proxy may hand on anything. */
export function plainAddress(text: string): string | null {
  return isAddress(text) ? ipaddr.process(text).toString() : null;
}

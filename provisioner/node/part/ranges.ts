// Addresses that never leave a home or a carrier's own network: what is “LAN” to the firewall, to
// the relay, and to the counters of what went through the home's line.

export const privateRanges = {
  v4: [
    '10.0.0.0/8', // RFC 1918
    '100.64.0.0/10', // RFC 6598, shared by carriers
    '127.0.0.0/8', // RFC 1122
    '169.254.0.0/16', // RFC 3927, link-local
    '172.16.0.0/12', // RFC 1918
    '192.168.0.0/16', // RFC 1918
  ],
  v6: [
    '::1/128', // RFC 4291
    'fc00::/7', // RFC 4193
    'fe80::/10', // RFC 4291, link-local
  ],
};

/** Not addresses of a peer at all: multicast and broadcast stay on the link. */
export const linkOnlyRanges = {
  v4: ['224.0.0.0/4', '255.255.255.255/32'], // RFC 5771, RFC 919
  v6: ['ff00::/8'], // RFC 4291
};

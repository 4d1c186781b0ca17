// What counts the traffic of the home's line, in nftables' own words: within a node's firewall, or
// in a table apart where the firewall is another's. Neighbours and the link itself do not count.

import { linkOnlyRanges, privateRanges } from './ranges.ts';

export const lineCounters = `    counter wan_in { }
    counter wan_out { }`;

/** Before any rule has dropped a packet. */
export const lineChains = `    set near4 {
        type ipv4_addr
        flags interval
        elements = { ${[...privateRanges.v4, ...linkOnlyRanges.v4].join(', ')} }
    }
    set near6 {
        type ipv6_addr
        flags interval
        elements = { ${[...privateRanges.v6, ...linkOnlyRanges.v6].join(', ')} }
    }

    chain count_in {
        type filter hook input priority raw; policy accept;
        ip saddr != @near4 counter name wan_in
        ip6 saddr != @near6 counter name wan_in
    }
    chain count_out {
        type filter hook output priority raw; policy accept;
        ip daddr != @near4 counter name wan_out
        ip6 daddr != @near6 counter name wan_out
    }`;

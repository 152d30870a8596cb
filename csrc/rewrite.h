/* Another DSCP in an IP header. Header only; the same text for user space and BPF. */
#ifndef EDGE_REWRITE_H
#define EDGE_REWRITE_H

#include "parse.h"

/* The first words of an IP header with another DSCP; ECN stays. RFC 1624 equation 3 for IPv4. */
EDGE_INLINE uint16_t edge_checksum_update(uint16_t checksum, uint16_t before, uint16_t after)
{
	uint32_t sum = (uint16_t)~checksum + (uint32_t)(uint16_t)~before + after;

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Write `dscp` into the IPv4 header at `l3`, all of which is there. Without a branch, since nobody could predict it: a header
 * that has this DSCP is written as it is. Returns 1 when it had another one. */
EDGE_INLINE uint32_t edge_rewrite4(uint8_t *l3, uint8_t dscp)
{
	uint16_t before = EDGE_LD16(l3), after = before;
	uint16_t checksum = EDGE_LD16(l3 + 10);
	uint32_t other;

	((uint8_t *)&after)[1] = (uint8_t)(dscp << 2 | (((uint8_t *)&before)[1] & 3));
	other = (before ^ after) + 0xffffu;
	EDGE_PLAIN(other);
	other >>= 16;
	EDGE_ST16(l3, after);
	/* Not of one that stays: to this sum 0 and 0xffff are the same number. */
	EDGE_ST16(l3 + 10, (uint16_t)(checksum ^ ((edge_checksum_update(checksum, before, after) ^ checksum) & (0 - other))));
	return other;
}

/* Write `dscp` into the IP header at `l3`, of the family that `flags` of the key says. Changes octet 1 and the checksum
 * of IPv4, octets 0 and 1 of IPv6. Does nothing when the header is not whole. Returns 1 when it wrote. */
EDGE_INLINE int edge_rewrite(uint8_t *l3, const uint8_t *end, uint16_t flags, uint8_t dscp)
{
	uint16_t before, after;

	if (flags & EDGE_KEY_IP4) {
		if (EDGE_SHORT(l3, 20, end))
			return 0;
		before = EDGE_LD16(l3);
		after = before;
		((uint8_t *)&after)[1] = (uint8_t)(dscp << 2 | (((uint8_t *)&before)[1] & 3));
		EDGE_ST16(l3, after);
		EDGE_ST16(l3 + 10, edge_checksum_update(EDGE_LD16(l3 + 10), before, after));
		return 1;
	}
	if (flags & EDGE_KEY_IP6) {
		if (EDGE_SHORT(l3, 2, end))
			return 0;
		before = EDGE_NET16(EDGE_LD16(l3));
		EDGE_ST16(l3, EDGE_NET16((uint16_t)((before & 0xf03f) | (uint16_t)dscp << 6)));
		return 1;
	}
	return 0;
}

#endif

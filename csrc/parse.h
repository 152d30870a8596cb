/* From the octets of a frame to what a rule can ask of it. Header only; the same text for user space and BPF.
 *
 *	struct edge_key key;			// in BPF: the value of a per-CPU array map, never the stack
 *
 *	edge_parse(data, end, &key);		// or edge_parse_from, when the outer tag is in skb metadata
 *	edge_hint(data, end, &key);		// when a rule asks what the payload looks like
 *
 * How a frame is read is defined by the docstring of tests/oracle.py. In short: at most two tags (0x8100, 0x88a8,
 * 0x9100); a packet ends where its total length says, or where the octets given end when that is sooner (a length
 * of 0 says nothing: segmentation offload); at most six extension headers of IPv6, all in 512 octets; a later
 * fragment has no ports.
 *
 * Invariants. No octet before `data` or at or beyond `end` is read. No allocation, no state, no libc. For the
 * verifier: each offset that depends on the packet goes through the key in map memory (EDGE_OPAQUE), so
 * that paths with different headers become one state again; loops are bounded.
 */
#ifndef EDGE_PARSE_H
#define EDGE_PARSE_H

#include "octets.h"

#define EDGE_ETHERNET 14
#define EDGE_IP6_HEADER 40
#define EDGE_EXTENSIONS_MAX 6	    /* headers that are walked over */
#define EDGE_EXTENSION_OCTETS_MAX 512 /* where the last of them ends at most, counted from the end of the IPv6 header */
#define EDGE_OFFSET_MASK 0x3ff	    /* more than the greatest offset of a transport header: 32 + 40 + 512 */
#define EDGE_ETHERTYPE_IP4 0x0800
#define EDGE_ETHERTYPE_IP6 0x86dd
#define EDGE_STUN_COOKIE 0x2112a442

/* cdef begin */
enum edge_key_flag {
	EDGE_KEY_PORTS = 1,    /* the first three are the index into head.traits */
	EDGE_KEY_STUN = 2,
	EDGE_KEY_RTP = 4,
	EDGE_KEY_IP4 = 8,
	EDGE_KEY_IP6 = 16,
	EDGE_KEY_LATER = 32,   /* a fragment that is not the first */
};

/* What a rule can ask of a packet: 64 octets. Numbers are in the byte order of the machine. */
struct edge_key {
	uint64_t source[2];	 /* 0: IPv6 as upper and lower half; IPv4 in the lower 32 bits of [0], [1] is 0 */
	uint64_t destination[2]; /* 16 */
	uint32_t l3;		 /* 32: offset of the IP header */
	uint32_t l4;		 /* 36: offset of what follows the IP headers */
	uint16_t source_port;	 /* 40: 0 without EDGE_KEY_PORTS */
	uint16_t destination_port; /* 42 */
	uint16_t ethertype;	 /* 44: of the payload below the tags that were read */
	uint8_t protocol;	 /* 46 */
	uint8_t traffic_class;	 /* 47: DSCP << 2 | ECN */
	uint16_t flags;		 /* 48: enum edge_key_flag; 0: not IP */
	uint8_t tags;		 /* 50: how many were read */
	uint8_t pad;		 /* 51 */
	uint32_t limit;		 /* 52: offset at which the packet ends by its own length, UINT32_MAX when that is not said */
	uint64_t reserved;	 /* 56 */
};
/* cdef end */

EDGE_INLINE int edge_is_tag(uint16_t ethertype)
{
	return ethertype == 0x8100 || ethertype == 0x88a8 || ethertype == 0x9100;
}

/* TCP, UDP, DCCP, SCTP, UDP-Lite. One shift: which of them a packet has, nobody could predict. */
EDGE_INLINE uint32_t edge_has_ports(uint8_t protocol)
{
	uint64_t some = protocol < 64 ? 1ull << 6 | 1ull << 17 | 1ull << 33 : 1ull << (132 - 128) | 1ull << (136 - 128);

	return (uint32_t)(some >> (protocol & 63)) & (protocol >> 6 != 1) & (protocol >> 6 != 3);
}

EDGE_INLINE int edge_is_extension(uint8_t header)
{
	return header == 0 || header == 43 || header == 44 || header == 51 || header == 60;
}

/* Are the `n` octets at `data + offset` there, and inside the packet? */
#define EDGE_MISSING(data, offset, n, end, key) \
	((offset) + (n) > (key)->limit || EDGE_SHORT((data) + ((offset) & EDGE_OFFSET_MASK), n, end))

/* Walk over the extension headers of IPv6: key->l4 and key->protocol are those of the first header, and afterwards of the one that
 * was not walked over. Returns 1 when its octets may be read, 0 when they may not. */
EDGE_INLINE int edge_walk_extensions(const uint8_t *data, const uint8_t *end, struct edge_key *key)
{
	uint32_t i;

	for (i = 0; i < EDGE_EXTENSIONS_MAX; i++) {
		const uint8_t *p;
		uint8_t header;
		uint32_t next;

		EDGE_OPAQUE(key->protocol);
		EDGE_OPAQUE(key->l4);
		header = key->protocol;
		if (!edge_is_extension(header))
			return 1;
		if ((header == 0 && i) || EDGE_MISSING(data, key->l4, 2, end, key))
			return 0;
		p = data + (key->l4 & EDGE_OFFSET_MASK);
		next = key->l4 + (header == 44 ? 8 : header == 51 ? (p[1] + 2u) * 4 : (p[1] + 1u) * 8);
		if (next > key->l3 + EDGE_IP6_HEADER + EDGE_EXTENSION_OCTETS_MAX || EDGE_MISSING(data, next, 0, end, key))
			return 0;
		key->protocol = p[0];
		if (header == 44 && !EDGE_SHORT(p, 8, end) && (EDGE_LD16(p + 2) & EDGE_NET16(0xfff8))) {
			key->flags |= EDGE_KEY_LATER;
			return 0;
		}
		key->l4 = next;
	}
	EDGE_OPAQUE(key->protocol);
	return !edge_is_extension(key->protocol);
}

/* Read what follows `ethertype`; its header starts at `offset` (at most 32) from `data`. Up to `tags` tags may come
 * first. For a frame whose outer tag the kernel has taken off: offset 14, and one tag less. Sets every field
 * of `key`. Returns key->flags. */
EDGE_INLINE uint16_t edge_parse_from(const uint8_t *data, const uint8_t *end, uint32_t offset, uint16_t ethertype, uint32_t tags,
				  struct edge_key *key)
{
	const uint8_t *p;
	uint32_t depth, length;
	int whole;

	key->source[0] = key->source[1] = key->destination[0] = key->destination[1] = 0;
	key->source_port = key->destination_port = 0;
	key->protocol = 0;
	key->traffic_class = 0;
	key->flags = 0;
	key->limit = ~0u;
	for (depth = 0; depth < 2 && depth < tags && edge_is_tag(ethertype); depth++) {
		p = data + (offset & 63);
		if (EDGE_SHORT(p, 4, end)) {
			key->tags = (uint8_t)depth;
			key->ethertype = ethertype;
			key->l3 = key->l4 = offset;
			return 0;
		}
		ethertype = EDGE_NET16(EDGE_LD16(p + 2));
		offset += 4;
	}
	key->tags = (uint8_t)depth;
	key->ethertype = ethertype;
	key->l3 = offset;
	key->l4 = offset;
	EDGE_OPAQUE(key->l3);
	EDGE_OPAQUE(key->ethertype);
	p = data + (key->l3 & 63);
	if (key->ethertype == EDGE_ETHERTYPE_IP4) {
		uint32_t header;

		if (EDGE_SHORT(p, 20, end))
			return 0;
		header = (p[0] & 15u) * 4;
		length = EDGE_NET16(EDGE_LD16(p + 2));
		if (p[0] >> 4 != 4 || header < 20 || (length && length < header))
			return 0;
		if (length)
			key->limit = key->l3 + length;
		key->l4 = key->l3 + header;
		whole = !(EDGE_LD16(p + 6) & EDGE_NET16(0x1fff));
		key->flags = whole ? EDGE_KEY_IP4 : EDGE_KEY_IP4 | EDGE_KEY_LATER;
		key->protocol = p[9];
		key->traffic_class = p[1];
		key->source[0] = EDGE_NET32(EDGE_LD32(p + 12));
		key->destination[0] = EDGE_NET32(EDGE_LD32(p + 16));
	} else if (key->ethertype == EDGE_ETHERTYPE_IP6) {
		if (EDGE_SHORT(p, EDGE_IP6_HEADER, end) || p[0] >> 4 != 6)
			return 0;
		length = EDGE_NET16(EDGE_LD16(p + 4));
		if (length)
			key->limit = key->l3 + EDGE_IP6_HEADER + length;
		key->flags = EDGE_KEY_IP6;
		key->traffic_class = (uint8_t)(EDGE_NET16(EDGE_LD16(p)) >> 4);
		key->source[0] = EDGE_NET64(EDGE_LD64(p + 8));
		key->source[1] = EDGE_NET64(EDGE_LD64(p + 16));
		key->destination[0] = EDGE_NET64(EDGE_LD64(p + 24));
		key->destination[1] = EDGE_NET64(EDGE_LD64(p + 32));
		key->protocol = p[6];
		key->l4 = key->l3 + EDGE_IP6_HEADER;
		whole = edge_walk_extensions(data, end, key);
	} else {
		return 0;
	}
	EDGE_OPAQUE(key->flags);
	EDGE_OPAQUE(key->protocol);
	EDGE_OPAQUE(key->l4);
	EDGE_OPAQUE(key->limit);
	if (whole && edge_has_ports(key->protocol) && !EDGE_MISSING(data, key->l4, 4, end, key)) {
		p = data + (key->l4 & EDGE_OFFSET_MASK);
		key->source_port = EDGE_NET16(EDGE_LD16(p));
		key->destination_port = EDGE_NET16(EDGE_LD16(p + 2));
		key->flags |= EDGE_KEY_PORTS;
	}
	EDGE_OPAQUE(key->flags);
	return key->flags;
}

/* The usual frame, read without a loop: IPv4 without options, not a later fragment, with room for ports. What it sets is
 * what edge_parse would. Returns 0, and sets nothing, when the frame is another one. */
EDGE_INLINE int edge_parse_plain(const uint8_t *data, const uint8_t *end, struct edge_key *key)
{
	uint32_t ports, length;

	if (EDGE_SHORT(data, EDGE_ETHERNET + 20 + 4, end))
		return 0;
	length = EDGE_NET16(EDGE_LD16(data + 16));
	if (EDGE_LD16(data + 12) != EDGE_NET16(EDGE_ETHERTYPE_IP4) || data[14] != 0x45 ||
	    (EDGE_LD16(data + 20) & EDGE_NET16(0x1fff)) || (length && length < 20 + 4))
		return 0;
	key->source[0] = EDGE_NET32(EDGE_LD32(data + 26));
	key->source[1] = 0;
	key->destination[0] = EDGE_NET32(EDGE_LD32(data + 30));
	key->destination[1] = 0;
	key->l3 = EDGE_ETHERNET;
	key->l4 = EDGE_ETHERNET + 20;
	ports = edge_has_ports(data[23]);
	key->source_port = EDGE_NET16(EDGE_LD16(data + 34)) & (uint16_t)(0 - ports);
	key->destination_port = EDGE_NET16(EDGE_LD16(data + 36)) & (uint16_t)(0 - ports);
	key->ethertype = EDGE_ETHERTYPE_IP4;
	key->protocol = data[23];
	key->traffic_class = data[15];
	key->flags = (uint16_t)(EDGE_KEY_IP4 | EDGE_KEY_PORTS * ports);
	key->tags = 0;
	key->limit = length ? EDGE_ETHERNET + length : ~0u;
	return 1;
}

/* Read an Ethernet frame with up to two tags in it. Sets every field of `key`. Returns key->flags:
 * 0 when it is not IP. */
EDGE_INLINE uint16_t edge_parse(const uint8_t *data, const uint8_t *end, struct edge_key *key)
{
	if (EDGE_SHORT(data, EDGE_ETHERNET, end))
		return edge_parse_from(data, end, 0, 0, 0, key);
	return edge_parse_from(data, end, EDGE_ETHERNET, EDGE_NET16(EDGE_LD16(data + 12)), 2, key);
}

/* Look at the payload of UDP, when a rule of the policy asks for it (head.hints). After edge_parse. */
EDGE_INLINE void edge_hint(const uint8_t *data, const uint8_t *end, struct edge_key *key)
{
	const uint8_t *p;

	if (!(key->flags & EDGE_KEY_PORTS) || key->protocol != 17)
		return;
	EDGE_OPAQUE(key->l4);
	if (EDGE_MISSING(data, key->l4, 8 + 12, end, key))
		return;
	p = data + (key->l4 & EDGE_OFFSET_MASK) + 8;
	if (p[0] >> 6 == 2 && (p[1] & 0x60) != 0x40)
		key->flags |= EDGE_KEY_RTP; /* payload types 64 to 95 are RTCP's (RFC 5761 4) */
	else if (p[0] >> 6 == 0 && !(p[3] & 3) && EDGE_LD32(p + 4) == EDGE_NET32(EDGE_STUN_COOKIE) &&
		 !EDGE_MISSING(data, key->l4, 8 + 20, end, key))
		key->flags |= EDGE_KEY_STUN;
}

#endif

/* Octets of a frame and what its virtio_net_hdr says of them, changed together. Pure.
 *
 *	buffer:  | room for tags | dst | src | TPID TCI ... | ethertype | packet |
 *		 0		 offset					 offset + length
 *
 * A tag goes on by moving the twelve octets of addresses towards the buffer's beginning, and off by moving
 * them towards its end: the packet stays where it is. virtio_net_hdr counts from the frame's first octet, so
 * csum_start and hdr_len move with every tag (virtio 1.2, 5.1.6; native byte order, as the kernel's
 * legacy interface has it).
 *
 * Invariants: `offset` is at least 4 times the tags to be put on (EDGE_RING_HEADROOM is 16 of them); every
 * octet that is read lies below offset + length. A frame of fewer than 14 octets is not one.
 */
#ifndef EDGE_RINGFRAME_H
#define EDGE_RINGFRAME_H

#include <stdint.h>
#include <string.h>

#include "ring.h"

#define EDGE_RING_ADDRESSES 12
#define EDGE_RING_ETHERNET 14
#define EDGE_RING_TAG 4
#define EDGE_RING_VID 0x0fff
#define EDGE_RING_PRIORITY 0xf000 /* PCP and DEI */

/* The two outermost tags, how many there are (3 stands for 3 or more), and the packet below those that were read. */
struct edge_ring_stack {
	struct edge_rule_key key; /* without the ifindex */
	uint16_t tci[2];
	uint32_t depth;
	uint32_t payload; /* offset of the packet in the frame */
	uint16_t ethertype;
};

static inline uint16_t edge_ring_load16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static inline void edge_ring_store16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static inline int edge_ring_is_tag(uint16_t ethertype)
{
	return ethertype == EDGE_ETHERTYPE_DOT1Q || ethertype == EDGE_ETHERTYPE_DOT1AD;
}

/* What is said about checksum and headers moves by so many octets. */
static inline void edge_ring_shift(struct virtio_net_hdr *vnet, int octets)
{
	if (vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		vnet->csum_start = (uint16_t)(vnet->csum_start + octets);
	if (vnet->hdr_len)
		vnet->hdr_len = (uint16_t)(vnet->hdr_len + octets);
}

/* Put a tag on. The frame has at least 12 octets. */
static inline void edge_ring_push(uint8_t *buffer, struct edge_ring_frame *frame, uint16_t tpid, uint16_t tci)
{
	uint8_t *at = buffer + frame->offset;

	memmove(at - EDGE_RING_TAG, at, EDGE_RING_ADDRESSES);
	edge_ring_store16(at + EDGE_RING_ADDRESSES - EDGE_RING_TAG, tpid);
	edge_ring_store16(at + EDGE_RING_ADDRESSES - EDGE_RING_TAG + 2, tci);
	frame->offset = (uint16_t)(frame->offset - EDGE_RING_TAG);
	frame->length += EDGE_RING_TAG;
	edge_ring_shift(&frame->vnet, EDGE_RING_TAG);
}

/* Take the outermost `tags` off, which are there. */
static inline void edge_ring_pop(uint8_t *buffer, struct edge_ring_frame *frame, uint32_t tags)
{
	uint32_t octets = tags * EDGE_RING_TAG;
	uint8_t *at = buffer + frame->offset;

	memmove(at + octets, at, EDGE_RING_ADDRESSES);
	frame->offset = (uint16_t)(frame->offset + octets);
	frame->length -= octets;
	edge_ring_shift(&frame->vnet, -(int)octets);
}

/* Read the tags of a frame of at least 14 octets. A tag that is cut off is taken for a packet. */
static inline void edge_ring_read(const uint8_t *at, uint32_t length, struct edge_ring_stack *s)
{
	struct edge_tag *tags[2] = {&s->key.outer, &s->key.inner};
	uint16_t ethertype = edge_ring_load16(at + EDGE_RING_ADDRESSES);

	memset(s, 0, sizeof(*s));
	s->payload = EDGE_RING_ETHERNET;
	while (s->depth < EDGE_STACK_MAX && edge_ring_is_tag(ethertype) &&
	       s->payload + EDGE_RING_TAG <= length) {
		s->tci[s->depth] = edge_ring_load16(at + s->payload);
		tags[s->depth]->tpid = ethertype;
		tags[s->depth]->vid = s->tci[s->depth] & EDGE_RING_VID;
		s->depth++;
		ethertype = edge_ring_load16(at + s->payload + 2);
		s->payload += EDGE_RING_TAG;
	}
	if (s->depth == EDGE_STACK_MAX && edge_ring_is_tag(ethertype))
		s->depth = EDGE_STACK_MAX + 1;
	s->ethertype = ethertype;
}

/* Octets before the payload of a GSO frame's first segment, 0 when they cannot be told. */
static inline uint32_t edge_ring_headers(const uint8_t *at, const struct edge_ring_frame *frame)
{
	uint32_t transport = frame->vnet.csum_start;

	switch (frame->vnet.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return transport + 13 <= frame->length ? transport + (at[transport + 12] >> 4) * 4u : 0;
	default:
		return transport + 8;
	}
}

/* How many frames, and octets, it becomes on a wire: a GSO frame one for each segment, with a copy of the headers. */
static inline void edge_ring_measure(const uint8_t *at, struct edge_ring_frame *frame)
{
	uint32_t segment = frame->vnet.gso_size, headers;

	frame->packets = 1;
	frame->bytes = frame->length;
	if (frame->vnet.gso_type == VIRTIO_NET_HDR_GSO_NONE || !segment ||
	    !(frame->vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return;
	headers = edge_ring_headers(at, frame);
	if (headers && frame->length > headers) {
		frame->packets = (frame->length - headers + segment - 1) / segment;
		frame->bytes += (frame->packets - 1) * headers;
	}
}

/* The class that a frame says it is of, by its DSCP; what is no IP packet, or lies below more tags than are
 * read, is of the last one (as in tags.bpf.c). */
static inline enum edge_class edge_ring_class(const uint8_t *at, uint32_t length, const struct edge_ring_stack *s)
{
	int dscp;

	if (s->payload + 2 > length)
		return EDGE_CLASS_OTHER;
	at += s->payload;
	if (s->ethertype == 0x0800)
		dscp = at[1] >> 2;
	else if (s->ethertype == 0x86dd)
		dscp = (at[0] << 2 | at[1] >> 6) & 0x3f;
	else
		return EDGE_CLASS_OTHER;
	switch (dscp) {
	case 46:
		return EDGE_CLASS_EF;
	case 34:
		return EDGE_CLASS_AF41;
	case 18:
		return EDGE_CLASS_AF21;
	case 10:
		return EDGE_CLASS_AF11;
	default:
		return EDGE_CLASS_OTHER;
	}
}

#endif

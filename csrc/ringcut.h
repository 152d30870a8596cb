/* A large TCP frame cut into those that a wire carries, as the kernel's segmentation does it. Pure.
 *
 *	| Ethernet, tags | IP | TCP | payload of n segments |  -->  n times | the same headers | one segment |
 *
 * In each segment lengths, the IPv4 identification and checksum, the sequence number and the flags are its own: FIN
 * and PSH stay with the last one, CWR with the first. Its TCP checksum stays announced as unfinished, so that its
 * field holds the sum of the pseudo-header (virtio 1.2, 5.1.6.2).
 *
 * Invariants: edge_ring_cut_one() writes `headers` + gso_size octets at most, less than the frame has.
 */
#ifndef EDGE_RINGCUT_H
#define EDGE_RINGCUT_H

#include "ringframe.h"

#define EDGE_RING_TCP 6
#define EDGE_RING_TCP_HEADER 20
#define EDGE_RING_IPV4_HEADER 20
#define EDGE_RING_IPV6_HEADER 40
#define EDGE_RING_TCP_CHECKSUM 16 /* offset in its header */

struct edge_ring_cut {
	uint32_t ip; /* offsets in the frame */
	uint32_t transport;
	uint32_t headers; /* octets before the payload */
	uint32_t v6;
};

/* Where to cut a measured frame: 1, or 0 when it is not a large one, or no TCP right behind its IP header. */
static inline int edge_ring_cut_begin(const uint8_t *at, const struct edge_ring_frame *frame, struct edge_ring_cut *cut)
{
	uint32_t ip = EDGE_RING_ETHERNET, transport = frame->vnet.csum_start, header;
	uint16_t ethertype = edge_ring_load16(at + EDGE_RING_ADDRESSES);

	if (frame->packets < 2)
		return 0;
	while (edge_ring_is_tag(ethertype) && ip + EDGE_RING_TAG <= frame->length) {
		ethertype = edge_ring_load16(at + ip + 2);
		ip += EDGE_RING_TAG;
	}
	header = ethertype == 0x0800 ? EDGE_RING_IPV4_HEADER : EDGE_RING_IPV6_HEADER;
	if (ip + header + EDGE_RING_TCP_HEADER > frame->length)
		return 0;
	if (ethertype == 0x0800) {
		header = (at[ip] & 15) * 4u;
		if (at[ip] >> 4 != 4 || header < EDGE_RING_IPV4_HEADER || at[ip + 9] != EDGE_RING_TCP)
			return 0;
	} else if (ethertype != 0x86dd || at[ip + 6] != EDGE_RING_TCP) {
		return 0;
	}
	*cut = (struct edge_ring_cut){ip, transport, edge_ring_headers(at, frame), ethertype == 0x86dd};
	return transport == ip + header && cut->headers >= transport + EDGE_RING_TCP_HEADER &&
	       cut->headers < frame->length;
}

static inline uint32_t edge_ring_sum(const uint8_t *at, uint32_t octets, uint32_t sum)
{
	for (uint32_t i = 0; i < octets; i += 2)
		sum += edge_ring_load16(at + i);
	return sum;
}

static inline uint16_t edge_ring_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* Make segment `number` of a frame, of those that it was measured to have, at `to`; what is said of it in `made`. */
static inline void edge_ring_cut_one(const uint8_t *at, const struct edge_ring_frame *frame,
				     const struct edge_ring_cut *cut, uint32_t number, uint8_t *to,
				     struct edge_ring_frame *made)
{
	uint32_t begin = number * frame->vnet.gso_size, left = frame->length - cut->headers - begin;
	uint32_t octets = left < frame->vnet.gso_size ? left : frame->vnet.gso_size;
	uint32_t tcp_octets = cut->headers - cut->transport + octets, sequence;
	uint8_t *ip = to + cut->ip, *tcp = to + cut->transport;

	memcpy(to, at, cut->headers);
	memcpy(to + cut->headers, at + cut->headers + begin, octets);
	if (cut->v6) {
		edge_ring_store16(ip + 4, (uint16_t)tcp_octets);
	} else {
		edge_ring_store16(ip + 2, (uint16_t)(cut->transport - cut->ip + tcp_octets));
		edge_ring_store16(ip + 4, (uint16_t)(edge_ring_load16(ip + 4) + number));
		edge_ring_store16(ip + 10, 0);
		edge_ring_store16(ip + 10, (uint16_t)~edge_ring_fold(edge_ring_sum(ip, cut->transport - cut->ip, 0)));
	}
	sequence = ((uint32_t)edge_ring_load16(tcp + 4) << 16 | edge_ring_load16(tcp + 6)) + begin;
	edge_ring_store16(tcp + 4, (uint16_t)(sequence >> 16));
	edge_ring_store16(tcp + 6, (uint16_t)sequence);
	if (number)
		tcp[13] &= 0x7f; /* CWR */
	if (number + 1 < frame->packets)
		tcp[13] &= 0xf6; /* PSH, FIN */
	/* Source and destination stand together at the end of either header. */
	edge_ring_store16(tcp + EDGE_RING_TCP_CHECKSUM,
			  edge_ring_fold(edge_ring_sum(ip + (cut->v6 ? 8 : 12), cut->v6 ? 32 : 8,
						       EDGE_RING_TCP + tcp_octets)));
	made->length = made->bytes = cut->headers + octets;
	made->packets = 1;
	made->class_id = frame->class_id;
	made->vnet = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					     .csum_start = (uint16_t)cut->transport,
					     .csum_offset = EDGE_RING_TCP_CHECKSUM};
}

#endif

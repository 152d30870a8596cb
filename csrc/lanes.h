/* Many packets at once: what edge.fastpath._classify offers Python, and what other C (capture.c, ring.c) may call.
 *
 * A *lane* is a way to judge; all give equal verdicts. Packets lie anywhere in one piece of memory: packet i has the
 * octets base[offsets[i]] .. base[offsets[i] + lengths[i] - 1]. Nothing outside of them is read or written. Packets
 * of one call to edge_mark_batch must not overlap.
 *
 *	classify.c	linear and scalar lane, choice, marking
 *	lanes_avx2.c	many packets at a time, for x86 with AVX2, BMI and BMI2; empty elsewhere
 */
#ifndef EDGE_LANES_H
#define EDGE_LANES_H

#include <stddef.h>
#include <stdint.h>

#include "classify.h"

/* cdef begin */
enum edge_lane {
	EDGE_LANE_BEST = 0,   /* the fastest that this machine has */
	EDGE_LANE_LINEAR = 1, /* the reference: parse, then row after row */
	EDGE_LANE_SCALAR = 2, /* parse, then the tables; any machine */
	EDGE_LANE_AVX2 = 3,   /* sixteen packets at a time */
};

struct edge_policy; /* a table of EDGE_POLICY_SIZE octets, aligned to 8 */

/* Of one outcome. Packets are counted with the lengths that the caller gave. */
struct edge_count {
	uint64_t packets;  /* 0 */
	uint64_t bytes;	   /* 8 */
	uint64_t remarked; /* 16: of the packets, those whose DSCP was changed */
};

/* 1 when this machine can run the lane. */
int edge_lane_available(int lane);

/* Octets of a table in memory. */
size_t edge_policy_size(void);

/* Does the head of a table of this size make sense? 0, or -1. Verdicts of a table that was not made by
 * edge.qos.table mean nothing, but no table makes a matcher read outside of it. */
int edge_policy_check(const struct edge_policy *policy);

/* The first packet that is not inside `size` octets; n when all are. */
size_t edge_batch_outside(size_t size, const uint64_t *offsets, const uint32_t *lengths, size_t n);

/* Judge `n` packets. Verdict i is that of packet i. Returns 0, -1 when the machine has no such lane. */
int edge_classify_batch(const struct edge_policy *policy, const uint8_t *base, const uint64_t *offsets,
			const uint32_t *lengths, size_t n, struct edge_verdict *verdicts, int lane);

/* Judge and rewrite in place. counts[outcome] is added to; it has head.rules + 1 entries, or is NULL. verdicts may be
 * NULL. Returns how many packets were changed, -1 when the machine has no such lane. */
long edge_mark_batch(const struct edge_policy *policy, uint8_t *base, const uint64_t *offsets,
		     const uint32_t *lengths, size_t n, struct edge_verdict *verdicts, struct edge_count *counts, int lane);

/* Judge a packet whose header announced by `ethertype` begins at `offset`, behind a tag in metadata say. Returns the outcome. */
uint32_t edge_classify_from(const struct edge_policy *policy, const uint8_t *data, size_t length, uint32_t offset,
			    uint16_t ethertype, uint32_t tags, struct edge_key *key, struct edge_verdict *verdict);

/* SHA-256 over the sources that this extension was built from, in hexadecimal. */
const char *edge_classify_sources(void);
/* cdef end */

/* What a lane says of a packet: 8 octets. The rest (verdict, rewriting, counting) is common to all. */
struct edge_judged {
	uint32_t outcome;      /* 0 */
	uint16_t l3;	       /* 4: offset of the IP header */
	uint8_t traffic_class; /* 6: 0 when it is not IP */
	uint8_t family;	       /* 7: EDGE_KEY_IP4, EDGE_KEY_IP6, or 0 */
};

#define EDGE_CHUNK 256 /* packets judged before they are rewritten: their first lines stay in the first-level cache */
#define EDGE_AHEAD 40  /* packets between prefetch and use; measured: fewer are slower in order, more at random */

/* Judge up to EDGE_CHUNK packets. `known` is how many packets, from offsets[0] on, may be prefetched. `judged` may be NULL. */
typedef void edge_lane_function(const struct edge_policy *policy, const uint8_t *base, const uint64_t *offsets,
				const uint32_t *lengths, size_t n, size_t known, struct edge_judged *judged,
				struct edge_verdict *verdicts);

edge_lane_function edge_lane_scalar;

/* Where a field of struct edge_verdict lies in its eight octets read as one number. */
#define EDGE_FIELD_SHIFT(field) \
	(8 * (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? offsetof(struct edge_verdict, field) : \
							7 - offsetof(struct edge_verdict, field)))

/* The verdict of a packet, as edge_decide gives it. Without a branch: which rule a packet hits is what nobody can
 * predict. EDGE_DSCP_KEEP has its uppermost bit set, no DSCP has. */
EDGE_INLINE void edge_decided(const struct edge_policy *policy, const struct edge_judged *judged,
			      struct edge_verdict *verdict)
{
	const unsigned int dscp = EDGE_FIELD_SHIFT(dscp), flags = EDGE_FIELD_SHIFT(flags);
	uint64_t stored = edge_at64(policy, policy->head.verdicts + (uint64_t)judged->outcome * 8);
	uint64_t came = judged->traffic_class >> 2;
	uint64_t ip = judged->family != 0;
	uint64_t wanted = stored >> dscp & 0xff;
	uint64_t leaves = came ^ ((came ^ wanted) & ((wanted >> 7 | (ip ^ 1)) - 1));
	uint64_t remark = leaves != came;

	stored &= ~((uint64_t)0xff << dscp | (uint64_t)0xff << flags);
	stored |= leaves << dscp | (ip * EDGE_VERDICT_IP + remark * EDGE_VERDICT_REMARK) << flags;
	__builtin_memcpy(verdict, &stored, sizeof(stored));
}

#ifdef __x86_64__
edge_lane_function edge_lane_avx2;
#endif

#endif

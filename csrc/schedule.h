/* Queues in front of a wire: strict ones first but held to their shares, the others by theirs. Pure: the clock is
 * an argument, memory is the caller's, nothing is allocated.
 *
 *	put --> queue 0, strict --[bucket]---\
 *	put --> queue 1, share 30 -----------+--> take, when the wire (the circuit's rate) is free
 *	put --> queue n, share 20 -----------/
 *
 * - A strict queue goes before every other one, queue 0 before queue 1, but only while its token bucket has what
 *   its first frame costs: so it cannot starve the others (RFC 3246 section 2.10). Until then its frames wait and
 *   the others go, as in HTB; TCP, whose frames come in bursts, would not live with a policer. A frame that costs
 *   more than the bucket holds goes when the bucket is full, and the bucket owes the rest.
 * - The others take turns (deficit round robin; Shreedhar and Varghese, 1995). At its turn a queue may send its
 *   quantum, share * `round_octets`, and what it could not use is kept while it has frames. So among queues
 *   that always have frames octets are shared in proportion within one quantum and one frame each; what a
 *   queue leaves idle goes to the others.
 * - A queue holds frames up to `limit_octets`; one that comes to a full queue is dropped (tail drop). An empty queue
 *   takes any one frame.
 *
 * Put is O(1). Take is O(1) when each quantum is at least as long as the longest frame; else a queue may need several
 * turns for one frame, at most EDGE_SCHEDULE_QUEUES * (longest frame / smallest quantum + 1) steps. A turn costs
 * at least one octet, so it ends.
 *
 * Invariants: `ring` holds each sharing queue that has frames once, and no other. Frames of one queue leave in
 * their order. put = taken + dropped + queued, in packets and in octets.
 */
#ifndef EDGE_SCHEDULE_H
#define EDGE_SCHEDULE_H

#include <stdint.h>

#include "pace.h"
#include "policer.h"

#define EDGE_SCHEDULE_QUEUES 16
#define EDGE_BURST_OCTETS_MAX (1u << 28) /* as nanobits far below 2^63 */

/* cdef begin */
/* What the operator sets of one queue. */
struct edge_queue_settings {
	uint32_t share;	       /* percent of the rate, 1..100 */
	uint32_t strict;       /* 1: before all others, never above its share */
	uint32_t limit_octets; /* most octets that wait */
	uint32_t burst_octets; /* strict: what may leave at once after a pause */
};

/* packets: a frame counts as many as its `put` said. */
struct edge_queue_counters {
	uint64_t put_packets, put_octets;
	uint64_t taken_packets, taken_octets;
	uint64_t dropped_packets, dropped_octets; /* the queue was full */
	uint64_t queued_packets, queued_octets;	  /* now */
};
/* cdef end */

struct edge_queued {
	uint64_t frame; /* the caller's number */
	uint32_t octets;
	uint32_t packets;
};

struct edge_queue {
	struct edge_queue_settings set;
	struct edge_queued *at; /* ring of `places` frames, a power of two */
	uint32_t places;
	uint32_t head;
	uint32_t tail;
	uint64_t deficit; /* octets that it may send in this turn */
	uint64_t rate_bps;	 /* strict: its share of the rate */
	int64_t burst_nanobits;	 /* strict: what the bucket holds */
	int64_t tokens_nanobits; /* in it at `filled_ns`; below zero it owes */
	uint64_t filled_ns;
	uint32_t bucket_begun; /* it is full when its first frame asks */
	struct edge_queue_counters counted;
};

struct edge_schedule {
	uint64_t rate_bps;
	uint64_t late_ns; /* see edge_pace_send */
	uint32_t round_octets;
	uint32_t queues;
	struct edge_pace wire;
	uint64_t waiting; /* frames in all queues */
	uint32_t ring[EDGE_SCHEDULE_QUEUES];
	uint32_t ring_head; /* whose turn it is; head and tail run on for ever */
	uint32_t ring_tail;
	uint32_t turn_begun; /* the one at ring_head has got its quantum */
	struct edge_queue queue[EDGE_SCHEDULE_QUEUES];
};

/* A share of a rate, never nothing. */
static inline uint64_t edge_schedule_share(uint64_t rate_bps, uint32_t share)
{
	uint64_t rate = rate_bps / 100 * share + rate_bps % 100 * share / 100;

	return rate ? rate : 1;
}

/* Set rate and queues. Frames that wait stay, counters and buckets go on, and the queues that have frames begin a
 * new round. queues: how many `sets` there are, 1 to EDGE_SCHEDULE_QUEUES and not fewer than before. round_octets:
 * a quantum is this many octets for each percent. */
static inline void edge_schedule_set(struct edge_schedule *s, uint64_t rate_bps, uint32_t round_octets,
				     const struct edge_queue_settings *sets, uint32_t queues)
{
	s->rate_bps = rate_bps;
	s->round_octets = round_octets;
	s->queues = queues;
	s->ring_head = s->ring_tail;
	s->turn_begun = 0;
	for (uint32_t i = 0; i < queues; i++) {
		struct edge_queue *q = &s->queue[i];

		q->set = sets[i];
		q->set.strict = sets[i].strict != 0;
		q->rate_bps = edge_schedule_share(rate_bps, sets[i].share);
		q->burst_nanobits = (int64_t)((sets[i].burst_octets < EDGE_BURST_OCTETS_MAX ? sets[i].burst_octets
											    : EDGE_BURST_OCTETS_MAX) *
					      EDGE_NANOBITS_PER_OCTET);
		q->deficit = 0;
		if (!q->set.strict && q->head != q->tail)
			s->ring[s->ring_tail++ % EDGE_SCHEDULE_QUEUES] = i;
	}
}

/* Begin with no frame. memory: of `places` frames (a power of two) for each queue, one after the other. */
static inline void edge_schedule_init(struct edge_schedule *s, struct edge_queued *memory, uint32_t places,
				      uint64_t late_ns)
{
	*s = (struct edge_schedule){.late_ns = late_ns};
	for (uint32_t i = 0; i < EDGE_SCHEDULE_QUEUES; i++) {
		s->queue[i].at = memory + (uint64_t)i * places;
		s->queue[i].places = places;
	}
}

/* Hand a frame to a queue: 1, or 0 when it is dropped: let go of it. octets: as the wire carries it, below
 * EDGE_PACE_OCTETS_MAX. packets: what it becomes there (a GSO frame: its segments). */
static inline int edge_schedule_put(struct edge_schedule *s, uint32_t queue, uint32_t octets, uint32_t packets,
				    uint64_t frame)
{
	struct edge_queue *q = &s->queue[queue < s->queues ? queue : s->queues - 1];
	struct edge_queue_counters *c = &q->counted;
	int empty = q->head == q->tail;

	c->put_packets += packets;
	c->put_octets += octets;
	if ((!empty && c->queued_octets + octets > q->set.limit_octets) || q->tail - q->head == q->places) {
		c->dropped_packets += packets;
		c->dropped_octets += octets;
		return 0;
	}
	q->at[q->tail++ & (q->places - 1)] = (struct edge_queued){frame, octets, packets};
	c->queued_packets += packets;
	c->queued_octets += octets;
	s->waiting++;
	if (empty && !q->set.strict)
		s->ring[s->ring_tail++ % EDGE_SCHEDULE_QUEUES] = (uint32_t)(q - s->queue);
	return 1;
}

static inline struct edge_queued *edge_queue_first(struct edge_queue *q)
{
	return &q->at[q->head & (q->places - 1)];
}

/* Tokens that the first frame of a strict queue waits for. */
static inline int64_t edge_queue_cost(struct edge_queue *q)
{
	int64_t cost = (int64_t)(edge_queue_first(q)->octets * EDGE_NANOBITS_PER_OCTET);

	return cost < q->burst_nanobits ? cost : q->burst_nanobits;
}

/* Put the tokens into a strict queue's bucket that came since it was looked at last. */
static inline void edge_queue_fill(struct edge_queue *q, uint64_t now_ns)
{
	if (!q->bucket_begun) {
		q->bucket_begun = 1;
		q->tokens_nanobits = q->burst_nanobits;
		q->filled_ns = now_ns;
	} else if (now_ns > q->filled_ns) {
		uint64_t elapsed = now_ns - q->filled_ns;
		int64_t missing = q->burst_nanobits - q->tokens_nanobits;

		if (missing > 0 && elapsed <= (uint64_t)missing / q->rate_bps)
			q->tokens_nanobits += (int64_t)(elapsed * q->rate_bps);
		else
			q->tokens_nanobits = q->burst_nanobits;
		q->filled_ns = now_ns;
	}
	if (q->tokens_nanobits > q->burst_nanobits)
		q->tokens_nanobits = q->burst_nanobits;
}

/* When a strict queue that has frames may send: a time in the past when it may now. */
static inline uint64_t edge_queue_due(struct edge_queue *q)
{
	int64_t missing = edge_queue_cost(q) - q->tokens_nanobits;

	if (!q->bucket_begun || missing <= 0)
		return 0;
	return q->filled_ns + ((uint64_t)missing + q->rate_bps - 1) / q->rate_bps;
}

/* When a frame may leave: UINT64_MAX when none waits, a time in the past when one may leave now. */
static inline uint64_t edge_schedule_due(struct edge_schedule *s)
{
	uint64_t due_ns = UINT64_MAX;

	if (!s->waiting)
		return UINT64_MAX;
	if (s->ring_head != s->ring_tail)
		return s->wire.free_ns;
	for (uint32_t i = 0; i < s->queues; i++) {
		struct edge_queue *q = &s->queue[i];

		if (q->set.strict && q->head != q->tail) {
			uint64_t its_ns = edge_queue_due(q);

			due_ns = its_ns < due_ns ? its_ns : due_ns;
		}
	}
	return due_ns > s->wire.free_ns ? due_ns : s->wire.free_ns;
}

/* The queue whose frame goes next, 0 when none may go. The turns of the others advance as far as needed. */
static inline struct edge_queue *edge_schedule_choose(struct edge_schedule *s, uint64_t now_ns)
{
	for (uint32_t i = 0; i < s->queues; i++) {
		struct edge_queue *q = &s->queue[i];

		if (!q->set.strict || q->head == q->tail)
			continue;
		edge_queue_fill(q, now_ns);
		if (q->tokens_nanobits >= edge_queue_cost(q))
			return q;
	}
	if (s->ring_head == s->ring_tail)
		return 0;
	for (;;) {
		uint32_t number = s->ring[s->ring_head % EDGE_SCHEDULE_QUEUES];
		struct edge_queue *q = &s->queue[number];

		if (!s->turn_begun) {
			uint64_t quantum = (uint64_t)q->set.share * s->round_octets;

			q->deficit += quantum ? quantum : 1;
			s->turn_begun = 1;
		}
		if (q->deficit >= edge_queue_first(q)->octets)
			return q;
		s->ring_head++;
		s->ring[s->ring_tail++ % EDGE_SCHEDULE_QUEUES] = number;
		s->turn_begun = 0;
	}
}

/* Take the first frame out of a queue that has some. */
static inline struct edge_queued edge_queue_pop(struct edge_schedule *s, struct edge_queue *q)
{
	struct edge_queued first = *edge_queue_first(q);

	q->head++;
	s->waiting--;
	q->counted.queued_packets -= first.packets;
	q->counted.queued_octets -= first.octets;
	q->counted.taken_packets += first.packets;
	q->counted.taken_octets += first.octets;
	return first;
}

/* Take the frame that leaves at `now_ns`: 1 with its number and queue, or 0 (see edge_schedule_due). */
static inline int edge_schedule_take(struct edge_schedule *s, uint64_t now_ns, uint64_t *frame, uint32_t *queue)
{
	struct edge_queue *q;
	struct edge_queued first;

	if (!s->waiting || s->wire.free_ns > now_ns)
		return 0;
	q = edge_schedule_choose(s, now_ns);
	if (!q)
		return 0;
	first = edge_queue_pop(s, q);
	if (q->set.strict) {
		q->tokens_nanobits -= (int64_t)(first.octets * EDGE_NANOBITS_PER_OCTET);
	} else {
		q->deficit -= first.octets;
		if (q->head == q->tail) {
			q->deficit = 0;
			s->ring_head++;
			s->turn_begun = 0;
		}
	}
	edge_pace_send(&s->wire, s->rate_bps, now_ns, s->late_ns, first.octets);
	*frame = first.frame;
	*queue = (uint32_t)(q - s->queue);
	return 1;
}

/* Take a frame whatever rates say, strict queues first: 1 with its number, or 0 when none waits. For the end of the
 * queues: put nothing any more. */
static inline int edge_schedule_drain(struct edge_schedule *s, uint64_t *frame)
{
	for (int strict = 1; s->waiting && strict >= 0; strict--) {
		for (uint32_t i = 0; i < s->queues; i++) {
			struct edge_queue *q = &s->queue[i];

			if ((int)q->set.strict == strict && q->head != q->tail) {
				*frame = edge_queue_pop(s, q).frame;
				return 1;
			}
		}
	}
	return 0;
}

#endif

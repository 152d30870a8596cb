/* A bad wire: what becomes of frame number n of so many octets that is offered at a time t. Pure: the clock is an
 * argument, nothing is allocated, and chance is a function of (seed, n), so the same frames are lost on every run.
 *
 *	offer --> [queue, serialisation: rate] --> lost? --> delay +- jitter --> in order  --\
 *		        | tail drop                  |                                        >--> take
 *			v                            \-----> reordered: no delay --> express --/
 *
 * - The wire has a speed (0: none). A frame that would wait longer than `queue_ns` for it is dropped (overflow).
 *   A lost frame has used the wire. A frame that is sent twice uses it once.
 * - Each frame then waits delay +- jitter, evenly spread over all nanoseconds of that range, never less than 0.
 *   Frames keep their order: none departs before one that was offered earlier, so jitter among frames that
 *   come close together is smaller than asked for. Reordered ones wait for the wire only.
 * - Every frame offered has the next number, whatever becomes of it; its draws are those of its number. So a
 *   changed probability or delay changes nothing about the other draws, and loss does not depend on time.
 * - New settings hold for frames offered from then on. Those that wait leave when they were going to.
 *
 * Chance: splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014) as a counter-based
 * generator. Draw k of frame n is output number 4 n + k of the stream that starts at mix(seed).
 *
 * Invariants: both lines are sorted by departure (departures in order never step back, and the wire's end of a frame
 * never does either), so offer and take are O(1). A line holds at most `places` frames; the next one is dropped
 * (overflow). offered = lost + overflowed + taken + waiting - duplicated.
 */
#ifndef EDGE_IMPAIR_H
#define EDGE_IMPAIR_H

#include <stdint.h>

#include "pace.h"

/* cdef begin */
/* What the operator sets; all zero is a perfect wire. Parts are in millionths of the frames. */
struct edge_impairment {
	uint64_t seed;
	uint64_t delay_ns;
	uint64_t jitter_ns; /* each frame's delay is this much more or less, at most */
	uint64_t rate_bps;  /* 0: no limit */
	uint64_t queue_ns;  /* longest wait for the wire, when it has a rate */
	uint32_t loss_ppm;
	uint32_t duplicate_ppm;
	uint32_t reorder_ppm;
	uint32_t pad;
};

/* Frames so far; `waiting` is now. A frame sent twice waits twice. */
struct edge_impair_counters {
	uint64_t offered;
	uint64_t lost;
	uint64_t overflowed; /* no room: the wire's queue or a line was full */
	uint64_t duplicated;
	uint64_t reordered; /* went past frames that were waiting */
	uint64_t taken;
	uint64_t waiting;
};
/* cdef end */

enum edge_impair_draw {
	EDGE_DRAW_LOSS = 0,
	EDGE_DRAW_DUPLICATE = 1,
	EDGE_DRAW_REORDER = 2,
	EDGE_DRAW_JITTER = 3,
};

#define EDGE_PPM 1000000u
#define EDGE_GOLDEN_GAMMA 0x9e3779b97f4a7c15ULL

/* Output function of splitmix64. */
static inline uint64_t edge_mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static inline uint64_t edge_draw(uint64_t seed, uint64_t frame, enum edge_impair_draw which)
{
	return edge_mix(edge_mix(seed) + (4 * frame + (uint64_t)which + 1) * EDGE_GOLDEN_GAMMA);
}

/* A draw as a number below `bound`, each equally likely but for one part in 2^64 / bound. */
static inline uint64_t edge_below(uint64_t draw, uint64_t bound)
{
	return (uint64_t)(((unsigned __int128)draw * bound) >> 64);
}

/* A frame that waits: its number is the caller's. */
struct edge_waiting {
	uint64_t depart_ns;
	uint64_t frame;
};

/* A first-in-first-out ring in memory of the caller. `places` is a power of two; head and tail run on for ever. */
struct edge_line {
	struct edge_waiting *at;
	uint32_t places;
	uint32_t head;
	uint32_t tail;
};

struct edge_impair {
	struct edge_impairment set;
	struct edge_pace wire;
	uint64_t last_ns; /* departure of the latest frame that keeps its order */
	struct edge_line ordered;
	struct edge_line express;
	struct edge_impair_counters counted; /* `waiting` is computed when asked for */
};

/* Begin with no frame. Each line needs memory for `places` frames, a power of two. */
static inline void edge_impair_init(struct edge_impair *im, const struct edge_impairment *set,
				    struct edge_waiting *ordered, struct edge_waiting *express, uint32_t places)
{
	*im = (struct edge_impair){
		.set = *set,
		.ordered = {.at = ordered, .places = places},
		.express = {.at = express, .places = places},
	};
}

static inline uint32_t edge_line_length(const struct edge_line *line)
{
	return line->tail - line->head;
}

static inline void edge_line_put(struct edge_line *line, uint64_t depart_ns, uint64_t frame)
{
	line->at[line->tail++ & (line->places - 1)] = (struct edge_waiting){depart_ns, frame};
}

static inline struct edge_impair_counters edge_impair_count(const struct edge_impair *im)
{
	struct edge_impair_counters counted = im->counted;

	counted.waiting = (uint64_t)edge_line_length(&im->ordered) + edge_line_length(&im->express);
	return counted;
}

/* delay +- jitter of a frame, never below zero. */
static inline uint64_t edge_impair_delay(const struct edge_impairment *set, uint64_t number)
{
	uint64_t spread, least;

	if (!set->jitter_ns)
		return set->delay_ns;
	spread = edge_below(edge_draw(set->seed, number, EDGE_DRAW_JITTER), 2 * set->jitter_ns + 1);
	least = set->delay_ns + spread;
	return least > set->jitter_ns ? least - set->jitter_ns : 0;
}

static inline int edge_impair_chance(const struct edge_impairment *set, uint64_t number, enum edge_impair_draw which,
				     uint32_t ppm)
{
	return ppm && edge_below(edge_draw(set->seed, number, which), EDGE_PPM) < ppm;
}

/* Give the wire a frame. In how many places it waits now: 0 (it is lost, let go of it), 1, or 2 (it is taken
 * twice). octets: of the frame as the wire carries it, below EDGE_PACE_OCTETS_MAX. */
static inline int edge_impair_offer(struct edge_impair *im, uint64_t now_ns, uint32_t octets, uint64_t frame)
{
	const struct edge_impairment *set = &im->set;
	uint64_t number = im->counted.offered++;
	struct edge_line *line = &im->ordered;
	uint64_t sent_ns, depart_ns;
	int reordered, copies;

	if (set->rate_bps && im->wire.free_ns > now_ns && im->wire.free_ns - now_ns > set->queue_ns) {
		im->counted.overflowed++;
		return 0;
	}
	sent_ns = edge_pace_send(&im->wire, set->rate_bps, now_ns, 0, octets);
	if (edge_impair_chance(set, number, EDGE_DRAW_LOSS, set->loss_ppm)) {
		im->counted.lost++;
		return 0;
	}
	reordered = edge_impair_chance(set, number, EDGE_DRAW_REORDER, set->reorder_ppm);
	copies = 1 + edge_impair_chance(set, number, EDGE_DRAW_DUPLICATE, set->duplicate_ppm);
	if (reordered)
		line = &im->express;
	if (line->places - edge_line_length(line) < (uint32_t)copies) {
		im->counted.overflowed++;
		return 0;
	}
	if (reordered) {
		depart_ns = sent_ns;
		im->counted.reordered += edge_line_length(&im->ordered) > 0 && depart_ns < im->last_ns;
	} else {
		depart_ns = sent_ns + edge_impair_delay(set, number);
		if (depart_ns < im->last_ns)
			depart_ns = im->last_ns;
		im->last_ns = depart_ns;
	}
	edge_line_put(line, depart_ns, frame);
	if (copies == 2) {
		edge_line_put(line, depart_ns, frame);
		im->counted.duplicated++;
	}
	return copies;
}

/* A frame was offered that the caller has no place for. */
static inline void edge_impair_miss(struct edge_impair *im)
{
	im->counted.offered++;
	im->counted.overflowed++;
}

/* The line whose first frame departs first, an express one before one in order; 0 when none waits. */
static inline struct edge_line *edge_impair_first(struct edge_impair *im)
{
	struct edge_line *express = &im->express, *ordered = &im->ordered;

	if (!edge_line_length(express))
		return edge_line_length(ordered) ? ordered : 0;
	if (!edge_line_length(ordered))
		return express;
	return ordered->at[ordered->head & (ordered->places - 1)].depart_ns <
			       express->at[express->head & (express->places - 1)].depart_ns
		       ? ordered
		       : express;
}

/* When the next frame departs, UINT64_MAX when none waits. */
static inline uint64_t edge_impair_due(struct edge_impair *im)
{
	struct edge_line *line = edge_impair_first(im);

	return line ? line->at[line->head & (line->places - 1)].depart_ns : UINT64_MAX;
}

/* Take the next frame that departs at `now_ns` or earlier: 1 and its number, or 0. */
static inline int edge_impair_take(struct edge_impair *im, uint64_t now_ns, uint64_t *frame)
{
	struct edge_line *line = edge_impair_first(im);
	const struct edge_waiting *next;

	if (!line)
		return 0;
	next = &line->at[line->head & (line->places - 1)];
	if (next->depart_ns > now_ns)
		return 0;
	*frame = next->frame;
	line->head++;
	im->counted.taken++;
	return 1;
}

#endif

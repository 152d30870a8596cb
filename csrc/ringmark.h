/* Policies at a port of the ring engine: the packet core (classify.h) on frames that lie in buffers, with the knob,
 * the counters and the steering of mark.bpf.c. */
#ifndef EDGE_RINGMARK_H
#define EDGE_RINGMARK_H

#include "classify.h"
#include "ringengine.h"

/* A policy at a port, for frames under two tags, under one, or for all that no more specific one takes. */
struct edge_ring_policy {
	struct edge_tag outer;
	struct edge_tag inner;
	struct edge_marking set;
	const struct edge_policy *policy; /* EDGE_POLICY_SIZE octets, mapped; 0: a free place */
};

/* Found by open addressing with linear probing. Invariant: at most half of the places are used. */
struct edge_ring_marks {
	struct {
		uint32_t count;
		uint32_t places; /* 0, or a power of two */
		struct edge_ring_policy *at;
	} stage[2]; /* by enum edge_ring_stage */
};

/* Mark and steer a frame: 1 when it is to be dropped, else 0. */
int edge_ring_apply_mark(struct edge_ring *ring, const struct edge_ring_marks *marks, uint32_t stage, uint32_t number);

/* Add a policy, or put it in the place of the one with its key; fd stays the caller's. 0 or an errno. */
int edge_ring_put_mark(struct edge_ring *ring, struct edge_ring_marks *marks, const struct edge_ring_mark *wanted,
		       int fd);

/* 0 or ENOENT. */
int edge_ring_delete_mark(struct edge_ring_marks *marks, const struct edge_ring_mark *gone);

/* Let go of all policies. */
void edge_ring_forget_marks(struct edge_ring_marks *marks);

#endif

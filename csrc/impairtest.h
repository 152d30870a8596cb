/* What edge.fastpath._impair offers besides wires.h: impair.h and schedule.h by themselves, with a clock that the
 * caller turns, so that tests can compare them with oracles written in another language. */
#ifndef EDGE_IMPAIRTEST_H
#define EDGE_IMPAIRTEST_H

#include <stdint.h>

#include "impair.h"
#include "schedule.h"

/* cdef begin */
struct edge_impair_bench; /* one struct edge_impair and its memory */

/* A bad wire of its own; `places` is a power of two. NULL when memory is out. */
struct edge_impair_bench *edge_impair_bench_new(const struct edge_impairment *set, uint32_t places);
void edge_impair_bench_free(struct edge_impair_bench *bench);
void edge_impair_bench_set(struct edge_impair_bench *bench, const struct edge_impairment *set);
int edge_impair_bench_offer(struct edge_impair_bench *bench, uint64_t now_ns, uint32_t octets, uint64_t frame);
int edge_impair_bench_take(struct edge_impair_bench *bench, uint64_t now_ns, uint64_t *frame);
uint64_t edge_impair_bench_due(struct edge_impair_bench *bench);
void edge_impair_bench_count(const struct edge_impair_bench *bench, struct edge_impair_counters *counters);

struct edge_schedule_bench; /* one struct edge_schedule and its memory */

/* Queues of their own, each with `places` frames, a power of two. NULL when memory is out. */
struct edge_schedule_bench *edge_schedule_bench_new(uint32_t places, uint64_t late_ns);
void edge_schedule_bench_free(struct edge_schedule_bench *bench);
void edge_schedule_bench_set(struct edge_schedule_bench *bench, uint64_t rate_bps, uint32_t round_octets,
			     const struct edge_queue_settings *sets, uint32_t queues);
int edge_schedule_bench_put(struct edge_schedule_bench *bench, uint32_t queue, uint32_t octets, uint32_t packets,
			    uint64_t frame);
int edge_schedule_bench_take(struct edge_schedule_bench *bench, uint64_t now_ns, uint64_t *frame, uint32_t *queue);
int edge_schedule_bench_drain(struct edge_schedule_bench *bench, uint64_t *frame);
uint64_t edge_schedule_bench_due(struct edge_schedule_bench *bench);
void edge_schedule_bench_count(const struct edge_schedule_bench *bench, uint32_t queue,
			       struct edge_queue_counters *counters);

/* Nanoseconds of CPU time for a frame: `frames` offered and taken one after the other, with `waiting` in between. */
double edge_impair_cost(const struct edge_impairment *set, uint32_t waiting, uint64_t frames);
double edge_schedule_cost(uint32_t queues, uint32_t waiting, uint64_t frames);

/* SHA-256 over the sources that this extension was built from, in hexadecimal. */
const char *edge_impair_sources(void);
/* cdef end */

#endif

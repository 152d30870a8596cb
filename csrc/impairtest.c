#include "impairtest.h"

#include <stdlib.h>
#include <time.h>

#ifndef EDGE_SOURCES
#error "build with edge/fastpath/build.py, which defines EDGE_SOURCES"
#endif

#define OCTETS 1000u

struct edge_impair_bench {
	struct edge_impair impair;
	struct edge_waiting waiting[];
};

struct edge_schedule_bench {
	struct edge_schedule schedule;
	struct edge_queued queued[];
};

struct edge_impair_bench *edge_impair_bench_new(const struct edge_impairment *set, uint32_t places)
{
	struct edge_impair_bench *bench = malloc(sizeof(*bench) + 2 * places * sizeof(struct edge_waiting));

	if (bench)
		edge_impair_init(&bench->impair, set, bench->waiting, bench->waiting + places, places);
	return bench;
}

void edge_impair_bench_free(struct edge_impair_bench *bench)
{
	free(bench);
}

void edge_impair_bench_set(struct edge_impair_bench *bench, const struct edge_impairment *set)
{
	bench->impair.set = *set;
}

int edge_impair_bench_offer(struct edge_impair_bench *bench, uint64_t now_ns, uint32_t octets, uint64_t frame)
{
	return edge_impair_offer(&bench->impair, now_ns, octets, frame);
}

int edge_impair_bench_take(struct edge_impair_bench *bench, uint64_t now_ns, uint64_t *frame)
{
	return edge_impair_take(&bench->impair, now_ns, frame);
}

uint64_t edge_impair_bench_due(struct edge_impair_bench *bench)
{
	return edge_impair_due(&bench->impair);
}

void edge_impair_bench_count(const struct edge_impair_bench *bench, struct edge_impair_counters *counters)
{
	*counters = edge_impair_count(&bench->impair);
}

struct edge_schedule_bench *edge_schedule_bench_new(uint32_t places, uint64_t late_ns)
{
	size_t memory = (size_t)places * EDGE_SCHEDULE_QUEUES * sizeof(struct edge_queued);
	struct edge_schedule_bench *bench = malloc(sizeof(*bench) + memory);

	if (bench)
		edge_schedule_init(&bench->schedule, bench->queued, places, late_ns);
	return bench;
}

void edge_schedule_bench_free(struct edge_schedule_bench *bench)
{
	free(bench);
}

void edge_schedule_bench_set(struct edge_schedule_bench *bench, uint64_t rate_bps, uint32_t round_octets,
			     const struct edge_queue_settings *sets, uint32_t queues)
{
	edge_schedule_set(&bench->schedule, rate_bps, round_octets, sets, queues);
}

int edge_schedule_bench_put(struct edge_schedule_bench *bench, uint32_t queue, uint32_t octets, uint32_t packets,
			    uint64_t frame)
{
	return edge_schedule_put(&bench->schedule, queue, octets, packets, frame);
}

int edge_schedule_bench_take(struct edge_schedule_bench *bench, uint64_t now_ns, uint64_t *frame, uint32_t *queue)
{
	return edge_schedule_take(&bench->schedule, now_ns, frame, queue);
}

int edge_schedule_bench_drain(struct edge_schedule_bench *bench, uint64_t *frame)
{
	return edge_schedule_drain(&bench->schedule, frame);
}

uint64_t edge_schedule_bench_due(struct edge_schedule_bench *bench)
{
	return edge_schedule_due(&bench->schedule);
}

void edge_schedule_bench_count(const struct edge_schedule_bench *bench, uint32_t queue,
			       struct edge_queue_counters *counters)
{
	*counters = bench->schedule.queue[queue].counted;
}

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint32_t power_of_two(uint32_t least)
{
	uint32_t places = 1;

	while (places < least)
		places *= 2;
	return places;
}

double edge_impair_cost(const struct edge_impairment *set, uint32_t waiting, uint64_t frames)
{
	struct edge_impair_bench *bench = edge_impair_bench_new(set, power_of_two(2 * waiting + 2));
	uint64_t frame, clock_ns = 0, step = set->delay_ns / (waiting + 1) + 1;
	double begin, cost;

	if (!bench)
		return -1;
	begin = cpu_ns();
	for (uint64_t i = 0; i < frames; i++) {
		edge_impair_offer(&bench->impair, clock_ns, OCTETS, i);
		clock_ns += step;
		while (edge_impair_take(&bench->impair, clock_ns, &frame))
			;
	}
	cost = (cpu_ns() - begin) / (double)frames;
	edge_impair_bench_free(bench);
	return cost;
}

double edge_schedule_cost(uint32_t queues, uint32_t waiting, uint64_t frames)
{
	struct edge_schedule_bench *bench = edge_schedule_bench_new(power_of_two(waiting + 1), 0);
	struct edge_queue_settings sets[EDGE_SCHEDULE_QUEUES] = {{0}};
	uint64_t frame;
	uint32_t queue;
	double begin, cost;

	if (!bench)
		return -1;
	for (uint32_t i = 0; i < queues; i++)
		sets[i] = (struct edge_queue_settings){100 / queues, i == 0, UINT32_MAX, 1 << 20};
	edge_schedule_set(&bench->schedule, 0, 100, sets, queues);
	bench->schedule.queue[0].burst_nanobits = INT64_MAX / 2; /* the strict one waits for nothing */
	for (uint32_t i = 0; i < waiting * queues; i++)
		edge_schedule_put(&bench->schedule, i % queues, OCTETS, 1, i);
	begin = cpu_ns();
	for (uint64_t i = 0; i < frames; i++) {
		edge_schedule_put(&bench->schedule, (uint32_t)(i % queues), OCTETS, 1, i);
		edge_schedule_take(&bench->schedule, i, &frame, &queue);
	}
	cost = (cpu_ns() - begin) / (double)frames;
	edge_schedule_bench_free(bench);
	return cost;
}

const char *edge_impair_sources(void)
{
	return EDGE_SOURCES;
}

/* What the benches in C share: packets laid out in memory, ways to judge them that take turns, times by the CPU
 * clock of the thread. Each line of the output is "layout way median-ns least-ns", per packet.
 */
#ifndef EDGE_MEASURE_H
#define EDGE_MEASURE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SAMPLES_MOST 101
#define WAYS_MOST 16

struct packets {
	uint8_t *base;
	uint64_t *offsets;
	uint32_t *lengths;
	size_t count;
};

struct way {
	const char *name;
	/* Judge all packets once; `pass` counts up. */
	void (*run)(const struct packets *packets, unsigned pass);
};

static inline void fail(const char *words)
{
	fprintf(stderr, "%s\n", words);
	exit(1);
}

static inline uint8_t *read_all(const char *path, size_t *octets)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data;
	long end;

	if (!file || fseek(file, 0, SEEK_END) || (end = ftell(file)) < 0 || fseek(file, 0, SEEK_SET))
		fail(path);
	*octets = (size_t)end;
	data = malloc(*octets + 1);
	if (!data || fread(data, 1, *octets, file) != *octets)
		fail(path);
	fclose(file);
	return data;
}

static inline uint64_t chance(void)
{
	static uint64_t state = 0x9e3779b97f4a7c15u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* `count` packets in slots of their own, one after the other, from a file: {u16 slot, then u16 length and octets of
 * each}. The first ones are those of the file in its order, the others drawn from it. */
static inline struct packets lay_out(const char *path, size_t count)
{
	size_t octets, known = 0, at = 2, slot;
	uint8_t *file = read_all(path, &octets);
	uint32_t *starts = malloc(octets * sizeof(*starts));
	struct packets p = {0};

	slot = (size_t)(file[0] | file[1] << 8);
	while (at + 2 <= octets) {
		starts[known++] = (uint32_t)at;
		at += 2u + (size_t)(file[at] | file[at + 1] << 8);
	}
	p.count = count;
	p.base = aligned_alloc(4096, (count * slot + 4095) / 4096 * 4096);
	p.offsets = malloc(count * sizeof(*p.offsets));
	p.lengths = malloc(count * sizeof(*p.lengths));
	if (!known || !p.base || !p.offsets || !p.lengths)
		fail("no packets, or no memory");
	memset(p.base, 0, count * slot);
	for (size_t i = 0; i < count; i++) {
		const uint8_t *from = file + starts[i < known ? i : chance() % known];

		p.lengths[i] = (uint32_t)(from[0] | from[1] << 8);
		p.offsets[i] = i * slot;
		if (p.lengths[i] > slot)
			fail("a packet is longer than its slot");
		memcpy(p.base + p.offsets[i], from + 2, p.lengths[i]);
	}
	free(starts);
	free(file);
	return p;
}

static inline void shuffle(struct packets *p)
{
	for (size_t i = p->count; i-- > 1;) {
		size_t other = chance() % (i + 1);
		uint64_t offset = p->offsets[i];
		uint32_t length = p->lengths[i];

		p->offsets[i] = p->offsets[other];
		p->offsets[other] = offset;
		p->lengths[i] = p->lengths[other];
		p->lengths[other] = length;
	}
}

static inline void drop(struct packets *p)
{
	free(p->base);
	free(p->offsets);
	free(p->lengths);
}

static inline double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static inline int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Each way once, and again, as often as there are samples; a sample is as many passes as fill `least_ns`. */
static inline void measure(const char *layout, const struct packets *packets, const struct way *ways, size_t count,
			   unsigned samples, double least_ns)
{
	static double times[WAYS_MOST][SAMPLES_MOST];
	unsigned passes[WAYS_MOST];

	for (size_t w = 0; w < count; w++) {
		double start;

		ways[w].run(packets, 0);
		start = now_ns();
		ways[w].run(packets, 1);
		passes[w] = (unsigned)(least_ns / (now_ns() - start + 1)) + 1;
		/* Every sample begins with the same pass, so that marking always has something to mark. */
		passes[w] += passes[w] & 1;
	}
	for (unsigned s = 0; s < samples; s++) {
		for (size_t w = 0; w < count; w++) {
			double start = now_ns();

			for (unsigned i = 0; i < passes[w]; i++)
				ways[w].run(packets, i);
			times[w][s] = (now_ns() - start) / passes[w] / (double)packets->count;
		}
	}
	for (size_t w = 0; w < count; w++) {
		qsort(times[w], samples, sizeof(double), compare);
		printf("%s %s %.3f %.3f\n", layout, ways[w].name, times[w][samples / 2], times[w][0]);
	}
}

#endif

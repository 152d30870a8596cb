/* Our lanes, beside the least that anybody can do: touch one cache line of each packet.
 *
 * lanes TABLE OTHER PACKETS MEGABYTES SAMPLES OUTCOMES: OTHER is the same policy with other DSCPs, so that marking by
 * turns changes every packet that a rule takes. OUTCOMES gets the rule of each packet of the file, as u16.
 */
#include "../../../csrc/lanes.h"
#include "measure.h"

#define IN_CACHE 256
#define LEAST_NS 2e6

static struct edge_policy *table, *other;
static struct edge_verdict *verdicts;
static volatile uint64_t sink;

static struct edge_policy *load_table(const char *path)
{
	size_t octets;
	uint8_t *file = read_all(path, &octets);
	struct edge_policy *loaded = aligned_alloc(4096, EDGE_POLICY_SIZE);

	if (!loaded || octets > EDGE_POLICY_SIZE)
		fail("no table");
	memset(loaded, 0, EDGE_POLICY_SIZE);
	memcpy(loaded, file, octets);
	free(file);
	if (edge_policy_check(loaded))
		fail("not a table");
	return loaded;
}

static void touch(const struct packets *p, unsigned pass)
{
	uint64_t sum = pass;

	for (size_t i = 0; i < p->count; i++) {
		uint64_t word;

		memcpy(&word, p->base + p->offsets[i], sizeof(word));
		sum += word;
	}
	sink = sum;
}

#define LANE(name, number)                                                                                           \
	static void classify_##name(const struct packets *p, unsigned pass)                                          \
	{                                                                                                            \
		(void)pass;                                                                                          \
		edge_classify_batch(table, p->base, p->offsets, p->lengths, p->count, verdicts, number);             \
	}                                                                                                            \
	static void mark_##name(const struct packets *p, unsigned pass)                                              \
	{                                                                                                            \
		edge_mark_batch(pass & 1 ? other : table, p->base, p->offsets, p->lengths, p->count, verdicts, NULL, \
				number);                                                                             \
	}
LANE(linear, EDGE_LANE_LINEAR)
LANE(scalar, EDGE_LANE_SCALAR)
LANE(avx2, EDGE_LANE_AVX2)

static const struct {
	int lane;
	struct way ways[2];
} lanes[] = {
	{EDGE_LANE_LINEAR, {{"classify-linear", classify_linear}, {"mark-linear", mark_linear}}},
	{EDGE_LANE_SCALAR, {{"classify-scalar", classify_scalar}, {"mark-scalar", mark_scalar}}},
	{EDGE_LANE_AVX2, {{"classify-avx2", classify_avx2}, {"mark-avx2", mark_avx2}}},
};

static void tell_outcomes(const char *packets, const char *path, size_t count)
{
	struct packets p = lay_out(packets, count);
	FILE *file = fopen(path, "wb");

	edge_classify_batch(table, p.base, p.offsets, p.lengths, count, verdicts, EDGE_LANE_LINEAR);
	for (size_t i = 0; file && i < count; i++)
		fwrite(&verdicts[i].rule, sizeof(verdicts[i].rule), 1, file);
	if (!file || fclose(file))
		fail(path);
	drop(&p);
}

int main(int argc, char **argv)
{
	struct way ways[1 + 2 * sizeof(lanes) / sizeof(lanes[0])] = {{"touch", touch}};
	size_t count = 1, large, slot;
	unsigned samples;
	struct packets p;

	if (argc != 7)
		fail("usage: lanes TABLE OTHER PACKETS MEGABYTES SAMPLES OUTCOMES");
	table = load_table(argv[1]);
	other = load_table(argv[2]);
	samples = (unsigned)atoi(argv[5]);
	if (!samples || samples > SAMPLES_MOST)
		fail("samples");
	p = lay_out(argv[3], 2);
	slot = p.offsets[1];
	drop(&p);
	large = (size_t)atoi(argv[4]) * 1000000 / slot;
	verdicts = malloc((large > IN_CACHE ? large : IN_CACHE) * sizeof(*verdicts));
	if (!verdicts)
		fail("no memory");
	for (size_t i = 0; i < sizeof(lanes) / sizeof(lanes[0]); i++) {
		if (!edge_lane_available(lanes[i].lane))
			continue;
		ways[count++] = lanes[i].ways[0];
		ways[count++] = lanes[i].ways[1];
	}
	tell_outcomes(argv[3], argv[6], IN_CACHE);
	p = lay_out(argv[3], IN_CACHE);
	measure("cache", &p, ways, count, samples, LEAST_NS);
	drop(&p);
	p = lay_out(argv[3], large);
	measure("order", &p, ways, count, samples, LEAST_NS);
	shuffle(&p);
	measure("random", &p, ways, count, samples, LEAST_NS);
	drop(&p);
	return 0;
}

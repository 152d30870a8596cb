/* DPDK's rte_acl on the same packets and rules: IPv4, five fields, pointers ready, nothing parsed.
 *
 * acl RULES PACKETS MEGABYTES SAMPLES OUTCOMES. A line of RULES: protocol mask source bits destination bits
 * first-source-port last first-destination-port last. OUTCOMES gets the rule of each packet, as u16, 0xffff: none.
 */
#include <arpa/inet.h>
#include <rte_acl.h>
#include <rte_eal.h>
#include <rte_version.h>

#include "measure.h"

#define IN_CACHE 256
#define LEAST_NS 2e6
#define L3 14

enum { PROTOCOL, SOURCE, DESTINATION, SOURCE_PORT, DESTINATION_PORT, FIELDS };

static struct rte_acl_field_def fields[FIELDS] = {
	{RTE_ACL_FIELD_TYPE_BITMASK, 1, PROTOCOL, 0, 9},
	{RTE_ACL_FIELD_TYPE_MASK, 4, SOURCE, 1, 12},
	{RTE_ACL_FIELD_TYPE_MASK, 4, DESTINATION, 2, 16},
	{RTE_ACL_FIELD_TYPE_RANGE, 2, SOURCE_PORT, 3, 20},
	{RTE_ACL_FIELD_TYPE_RANGE, 2, DESTINATION_PORT, 3, 22},
};

RTE_ACL_RULE_DEF(acl_rule, FIELDS);

static struct rte_acl_ctx *context;
static const uint8_t **pointers;
static uint32_t *results;
static enum rte_acl_classify_alg algorithm;

static void classify(const struct packets *p, unsigned pass)
{
	(void)pass;
	for (size_t done = 0; done < p->count; done += IN_CACHE) {
		size_t count = p->count - done < IN_CACHE ? p->count - done : IN_CACHE;

		rte_acl_classify_alg(context, pointers + done, results + done, (uint32_t)count, 1, algorithm);
	}
}

static void point(const struct packets *p)
{
	for (size_t i = 0; i < p->count; i++)
		pointers[i] = p->base + p->offsets[i] + L3;
}

static void build(const char *path)
{
	struct rte_acl_param param = {"bench", -1, RTE_ACL_RULE_SZ(FIELDS), 4096};
	struct rte_acl_config config = {.num_categories = 1, .num_fields = FIELDS};
	unsigned v[10], number = 0;
	FILE *file = fopen(path, "r");

	memcpy(config.defs, fields, sizeof(fields));
	context = rte_acl_create(&param);
	if (!context || !file)
		fail("no rules");
	while (fscanf(file, "%u %u %u %u %u %u %u %u %u %u", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7], &v[8],
		      &v[9]) == 10) {
		struct acl_rule rule = {
			.data = {.category_mask = 1, .priority = RTE_ACL_MAX_PRIORITY - (int)number, .userdata = number + 1}};

		rule.field[PROTOCOL].value.u8 = (uint8_t)v[0];
		rule.field[PROTOCOL].mask_range.u8 = (uint8_t)v[1];
		rule.field[SOURCE].value.u32 = v[2];
		rule.field[SOURCE].mask_range.u32 = v[3];
		rule.field[DESTINATION].value.u32 = v[4];
		rule.field[DESTINATION].mask_range.u32 = v[5];
		rule.field[SOURCE_PORT].value.u16 = (uint16_t)v[6];
		rule.field[SOURCE_PORT].mask_range.u16 = (uint16_t)v[7];
		rule.field[DESTINATION_PORT].value.u16 = (uint16_t)v[8];
		rule.field[DESTINATION_PORT].mask_range.u16 = (uint16_t)v[9];
		if (rte_acl_add_rules(context, (struct rte_acl_rule *)&rule, 1))
			fail("a rule was refused");
		number++;
	}
	fclose(file);
	if (rte_acl_build(context, &config))
		fail("rte_acl_build failed");
}

static void tell_outcomes(const char *packets, const char *path)
{
	struct packets p = lay_out(packets, IN_CACHE);
	FILE *file = fopen(path, "wb");

	point(&p);
	classify(&p, 0);
	for (size_t i = 0; file && i < p.count; i++) {
		uint16_t rule = (uint16_t)(results[i] - 1);

		fwrite(&rule, sizeof(rule), 1, file);
	}
	if (!file || fclose(file))
		fail(path);
	drop(&p);
}

static const struct {
	const char *name;
	enum rte_acl_classify_alg algorithm;
} modes[] = {
	{"acl-scalar", RTE_ACL_CLASSIFY_SCALAR},	 {"acl-sse", RTE_ACL_CLASSIFY_SSE},
	{"acl-avx2", RTE_ACL_CLASSIFY_AVX2},		 {"acl-avx512x16", RTE_ACL_CLASSIFY_AVX512X16},
	{"acl-avx512x32", RTE_ACL_CLASSIFY_AVX512X32},
};

static void measure_all(const char *layout, const struct packets *p, unsigned samples)
{
	point(p);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		struct way way = {modes[i].name, classify};

		algorithm = modes[i].algorithm;
		if (rte_acl_set_ctx_classify(context, algorithm))
			continue;
		measure(layout, p, &way, 1, samples, LEAST_NS);
	}
}

int main(int argc, char **argv)
{
	char *eal[] = {"acl", "--no-huge", "--no-pci", "--no-shconf", "-m", "256", "--log-level=4", "--lcores=0", NULL};
	size_t large, slot;
	unsigned samples;
	struct packets p;

	if (argc != 6)
		fail("usage: acl RULES PACKETS MEGABYTES SAMPLES OUTCOMES");
	if (rte_eal_init(8, eal) < 0)
		fail("rte_eal_init failed");
	samples = (unsigned)atoi(argv[4]);
	p = lay_out(argv[2], 2);
	slot = p.offsets[1];
	drop(&p);
	large = (size_t)atoi(argv[3]) * 1000000 / slot;
	pointers = malloc((large > IN_CACHE ? large : IN_CACHE) * sizeof(*pointers));
	results = calloc(large > IN_CACHE ? large : IN_CACHE, sizeof(*results));
	if (!samples || samples > SAMPLES_MOST || !pointers || !results)
		fail("no memory, or no samples");
	build(argv[1]);
	algorithm = RTE_ACL_CLASSIFY_SCALAR;
	tell_outcomes(argv[2], argv[5]);
	p = lay_out(argv[2], IN_CACHE);
	measure_all("cache", &p, samples);
	drop(&p);
	p = lay_out(argv[2], large);
	measure_all("order", &p, samples);
	shuffle(&p);
	measure_all("random", &p, samples);
	drop(&p);
	return 0;
}

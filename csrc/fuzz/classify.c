/* Parse, classify, rewrite: every lane gives the verdicts and octets of the reference, alone and in a batch.
 *
 * Input: which policy, how packets lie (octet), then per packet its length (octet pair) and octets. Each packet
 * lies at the end of memory of its own once, and once beside its neighbours.
 */
#include "tables.h"

#define PACKETS_MOST 40
#define PACKET_LONGEST 17000

struct packet {
	const uint8_t *data;
	uint32_t length;
	struct edge_verdict verdict;
	uint8_t *marked;
};

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	load_tables();
	return 0;
}

static int same(const struct edge_verdict *a, const struct edge_verdict *b)
{
	return a->rule == b->rule && a->class_id == b->class_id && a->queue == b->queue && a->dscp == b->dscp &&
	       a->flags == b->flags && a->policer == b->policer;
}

/* Ones' complement sum (RFC 1071) of what every IPv4 header has; options, which may be cut off, do not change. */
static uint32_t header_sum(const uint8_t *ip)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < 20; i += 2)
		sum += (uint32_t)(ip[i] << 8 | ip[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Only the six bits of the DSCP and the checksum may change, and only as the verdict says. */
static void check_marked(const struct packet *p)
{
	const uint8_t *end = p->data + p->length;
	struct edge_key before, after;

	memset(&before, 0, sizeof(before));
	memset(&after, 0, sizeof(after));
	if (!edge_parse(p->data, end, &before)) {
		MUST(!p->verdict.flags && !memcmp(p->data, p->marked, p->length));
		return;
	}
	edge_parse(p->marked, p->marked + p->length, &after);
	MUST(p->verdict.flags & EDGE_VERDICT_IP);
	MUST(after.traffic_class >> 2 == p->verdict.dscp);
	MUST((after.traffic_class & 3) == (before.traffic_class & 3));
	MUST(!!(p->verdict.flags & EDGE_VERDICT_REMARK) == (before.traffic_class >> 2 != p->verdict.dscp));
	MUST(after.l3 == before.l3 && after.l4 == before.l4 && after.protocol == before.protocol);
	for (uint32_t i = 0; i < p->length; i++) {
		uint32_t at = i - before.l3;
		uint8_t may = 0;

		if (before.flags & EDGE_KEY_IP4)
			may = at == 1 ? 0xfc : at == 10 || at == 11 ? 0xff : 0;
		else
			may = at == 0 ? 0x0f : at == 1 ? 0xc0 : 0;
		MUST(!((p->data[i] ^ p->marked[i]) & ~may));
	}
	if (before.flags & EDGE_KEY_IP4) {
		uint32_t was = header_sum(p->data + before.l3), is = header_sum(p->marked + before.l3);

		MUST(was == is || (was % 0xffff == 0 && is % 0xffff == 0));
	}
}

static void reference(const struct edge_policy *policy, struct packet *p)
{
	const uint64_t offset = 0;
	uint8_t *alone = copy_of(p->data, p->length);

	p->marked = copy_of(p->data, p->length);
	MUST(!edge_classify_batch(policy, alone, &offset, &p->length, 1, &p->verdict, EDGE_LANE_LINEAR));
	MUST(!memcmp(alone, p->data, p->length));
	MUST(edge_mark_batch(policy, p->marked, &offset, &p->length, 1, NULL, NULL, EDGE_LANE_LINEAR) ==
	     !!(p->verdict.flags & EDGE_VERDICT_REMARK));
	free(alone);
	check_marked(p);
}

/* All packets together in one piece of memory, `gap` octets apart. */
static void batch(const struct edge_policy *policy, const struct packet *packets, size_t count, size_t gap, int lane)
{
	struct edge_verdict verdicts[PACKETS_MOST], marked[PACKETS_MOST];
	uint64_t offsets[PACKETS_MOST];
	uint32_t lengths[PACKETS_MOST];
	struct edge_count *counts = calloc(policy->head.rules + 1u, sizeof(*counts));
	uint64_t total = 0, changed = 0;
	size_t octets = 0;
	uint8_t *memory;

	for (size_t i = 0; i < count; i++) {
		octets += i ? gap : 0;
		offsets[i] = octets;
		lengths[i] = packets[i].length;
		octets += packets[i].length;
	}
	memory = copy_of("", 0);
	memory = realloc(memory, octets ? octets : 1);
	MUST(memory && counts);
	memset(memory, 0x45, octets ? octets : 1);
	for (size_t i = 0; i < count; i++)
		memcpy(memory + offsets[i], packets[i].data, lengths[i]);
	MUST(!edge_classify_batch(policy, memory, offsets, lengths, count, verdicts, lane));
	changed = (uint64_t)edge_mark_batch(policy, memory, offsets, lengths, count, marked, counts, lane);
	for (size_t i = 0; i < count; i++) {
		MUST(same(&verdicts[i], &packets[i].verdict));
		MUST(same(&marked[i], &packets[i].verdict));
		MUST(!memcmp(memory + offsets[i], packets[i].marked, lengths[i]));
		changed -= packets[i].verdict.flags & EDGE_VERDICT_REMARK ? 1 : 0;
	}
	MUST(!changed);
	for (uint32_t i = 0; i <= policy->head.rules; i++)
		total += counts[i].packets;
	MUST(total == count);
	free(memory);
	free(counts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct packet packets[PACKETS_MOST];
	struct input in = {data, size};
	const struct edge_policy *policy = tables[take8(&in) % table_count];
	size_t gap = take8(&in) % 64, count = 0;

	while (in.left && count < PACKETS_MOST) {
		struct packet *p = &packets[count++];
		uint32_t length = take16(&in) % PACKET_LONGEST;

		p->length = length < in.left ? length : (uint32_t)in.left;
		p->data = copy_of(in.at, p->length);
		in.at += p->length;
		in.left -= p->length;
		reference(policy, p);
	}
	for (int lane = EDGE_LANE_BEST; lane <= EDGE_LANE_AVX2; lane++) {
		if (!edge_lane_available(lane))
			continue;
		for (size_t i = 0; i < count; i++)
			batch(policy, &packets[i], 1, 0, lane);
		batch(policy, packets, count, gap, lane);
	}
	for (size_t i = 0; i < count; i++) {
		free((void *)packets[i].data);
		free(packets[i].marked);
	}
	return 0;
}

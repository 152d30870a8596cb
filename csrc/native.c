#include "native.h"

#include <string.h>

#include "mark.h"
#include "tags.h"

#ifndef EDGE_SOURCES
#error "build with edge/fastpath/build.py, which defines EDGE_SOURCES"
#endif

struct field {
	const char *of;
	const char *name;
	long value;
};

#define FIELD(type, member) {#type, #member, (long)offsetof(struct type, member)}
#define SIZE(type) {#type, NULL, (long)sizeof(struct type)}

static const struct field fields[] = {
	SIZE(edge_rule_key),
	FIELD(edge_rule_key, ifindex),
	FIELD(edge_rule_key, outer),
	FIELD(edge_rule_key, inner),
	SIZE(edge_rule),
	FIELD(edge_rule, ifindex),
	FIELD(edge_rule, slot),
	FIELD(edge_rule, action),
	FIELD(edge_rule, depth),
	FIELD(edge_rule, pop),
	FIELD(edge_rule, push),
	FIELD(edge_rule, tags),
	FIELD(edge_rule, mac),
	FIELD(edge_rule, bucket),
	FIELD(edge_rule, rate),
	SIZE(edge_subinterface),
	FIELD(edge_subinterface, port),
	FIELD(edge_subinterface, slot),
	FIELD(edge_subinterface, push),
	FIELD(edge_subinterface, tags),
	SIZE(edge_stats),
	FIELD(edge_stats, packets),
	FIELD(edge_stats, bytes),
	FIELD(edge_stats, dropped_packets),
	FIELD(edge_stats, dropped_bytes),
	SIZE(edge_rate),
	FIELD(edge_rate, rate_bps),
	FIELD(edge_rate, burst_nanobits),
	FIELD(edge_rate, fill_ns),
	FIELD(edge_rate, tolerated_bps),
	FIELD(edge_rate, tolerated_fill_ns),
	SIZE(edge_bucket),
	FIELD(edge_bucket, tokens_nanobits),
	FIELD(edge_bucket, last_ns),
	FIELD(edge_bucket, spare_nanobits),
	FIELD(edge_bucket, clamped),
	SIZE(edge_policer),
	FIELD(edge_policer, bucket),
	FIELD(edge_policer, classes),
	SIZE(edge_marking_key),
	FIELD(edge_marking_key, ifindex),
	FIELD(edge_marking_key, hook),
	FIELD(edge_marking_key, tpid),
	FIELD(edge_marking_key, vid),
	FIELD(edge_marking_key, inner_tpid),
	FIELD(edge_marking_key, inner_vid),
	SIZE(edge_direct),
	FIELD(edge_direct, owner),
	FIELD(edge_direct, name),
	SIZE(edge_name),
	FIELD(edge_name, number),
	FIELD(edge_name, policy),
	FIELD(edge_name, tags),
	SIZE(edge_marking),
	FIELD(edge_marking, counters),
	FIELD(edge_marking, queue_base),
	FIELD(edge_marking, knob),
	FIELD(edge_marking, known),
	SIZE(edge_marked),
	FIELD(edge_marked, packets),
	FIELD(edge_marked, bytes),
	FIELD(edge_marked, remarked),
	FIELD(edge_marked, dropped),
	FIELD(edge_marked, unknown),
	SIZE(edge_marked_block),
};

static long find(const char *of, const char *name)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const struct field *f = &fields[i];

		if (strcmp(f->of, of) == 0 && (name ? f->name && strcmp(f->name, name) == 0 : !f->name))
			return f->value;
	}
	return -1;
}

long edge_native_sizeof(const char *name)
{
	return find(name, NULL);
}

long edge_native_offsetof(const char *name, const char *field)
{
	return find(name, field);
}

int edge_native_police(uint64_t bucket[4], const uint64_t rate[5], uint64_t now_ns, uint64_t bytes)
{
	struct edge_bucket state = {bucket[0], bucket[1], bucket[2], bucket[3]};
	const struct edge_rate settings = {rate[0], rate[1], rate[2], rate[3], rate[4]};
	int conforms = edge_police(&state, &settings, now_ns, bytes);

	bucket[0] = state.tokens_nanobits;
	bucket[1] = state.last_ns;
	bucket[2] = state.spare_nanobits;
	bucket[3] = state.clamped;
	return conforms;
}

const char *edge_native_sources(void)
{
	return EDGE_SOURCES;
}

/* The AVX2 lane. Packets are sorted into IPv4, IPv6 and the rest (lanes_sort.h); of the first two, sixteen at a time become
 * columns (lanes_read.h), which are compared with the rows of the table's AVX2 list (lanes_rows.h). Packets that a filter says
 * may match other rows, and all where rows are too many for a list, are looked up in the table's structure (lanes_tables.h).
 * The rest (options, fragments, extension headers, short or unknown frames, and packets at whose payload a row wants to look)
 * takes the scalar lane.
 */
#ifdef __x86_64__

#include "lanes_read.h"
#include "lanes_rows.h"
#include "lanes_sort.h"
#include "lanes_tables.h"
#include "lanes_verdicts.h"

/* Stands where no packet is. Nothing in it looks like one. */
static const uint8_t nothing[64];

/* Packets that nobody has looked at yet: their lines are asked for while others are judged. */
struct ahead {
	const uint8_t *base;
	const uint64_t *next, *end;
};

/* A few at a time, with work in between: an instruction that finds no free line buffer holds up what is behind it. */
AVX2_INLINE void ask_for(struct ahead *ahead, int count)
{
	if (ahead->end - ahead->next < count)
		return;
	for (int i = 0; i < count; i++)
		__builtin_prefetch(ahead->base + ahead->next[i]);
	ahead->next += count;
}

/* What one call works on. */
struct call {
	const struct edge_policy *policy;
	const uint8_t *base;
	const uint64_t *offsets;
	const uint32_t *lengths;
	struct edge_judged *judged; /* or NULL */
	struct edge_verdict *decided;
	struct ahead ahead;
	struct verdicts verdicts;
	struct queue rest;	   /* for the scalar lane */
	struct queue hard4, hard6; /* for the tables: the rows do not say all about them */
	int hints;		   /* rows may say EDGE_LANE_ASK */
};

AVX2_INLINE void match4(const struct edge_policy *policy, int tables, const struct columns columns[PARTS],
			__m256i outcome[PARTS])
{
	if (!tables && policy->head.lane_flags & EDGE_LANE4)
		match_rows4(policy, columns, outcome);
	else
		EACH_PART(k) outcome[k] = match_tables4(policy, &columns[k]);
}

AVX2_INLINE void match6(const struct edge_policy *policy, int tables, const struct columns columns[PARTS],
			__m256i outcome[PARTS])
{
	if (!tables && policy->head.lane_flags & EDGE_LANE6)
		match_rows6(policy, columns, outcome);
	else
		EACH_PART(k) outcome[k] = match_tables6(policy, &columns[k]);
}

/* Set aside those of eight packets that the rows cannot judge: only the scalar lane looks at payloads, and what the filter
 * names is for the tables. `which` has a bit for each packet that there is. */
AVX2_INLINE void set_aside(struct call *call, uint32_t family, const struct columns *columns, __m256i outcome,
			   __m256i entries, unsigned int which)
{
	int is4 = family == EDGE_KEY_IP4;
	uint32_t filter = is4 ? call->policy->head.filter4 : call->policy->head.filter6;
	unsigned int rest = ~columns->good, hard = 0;

	if (call->hints)
		rest |= bits_of(is(outcome, EDGE_LANE_ASK));
	if (filter)
		hard = filtered(call->policy, filter, columns, is4 ? 1 : 4);
	if (call->hints)
		rest |= hard;
	if (rest & which)
		enqueue(&call->rest, entries, rest & which);
	if (hard & ~rest & which)
		enqueue(is4 ? &call->hard4 : &call->hard6, entries, hard & ~rest & which);
}

/* Judge `here` packets of a family, a group at most; some may be set aside. */
AVX2_INLINE void judge_family(struct call *call, const uint32_t *entries, uint32_t here, uint32_t family, int tables)
{
	struct edge_judged judged[GROUP];
	struct edge_verdict decided[GROUP];
	struct columns columns[PARTS];
	__m256i outcome[PARTS];

	EACH_PART(k) {
		const uint32_t *entry = &entries[k * 8];
		const uint8_t *at[8];

		for (uint32_t i = 0; i < 8; i++)
			at[i] = i + (uint32_t)k * 8 < here ? call->base + call->offsets[entry[i] & 0xffff] + (entry[i] >> 16) :
							nothing + 2;
		if (family == EDGE_KEY_IP4)
			read4(at, 0, &columns[k]);
		else
			read6(at, &columns[k]);
	}
	if (family == EDGE_KEY_IP4)
		match4(call->policy, tables, columns, outcome);
	else
		match6(call->policy, tables, columns, outcome);
	EACH_PART(k) {
		__m256i entry = _mm256_loadu_si256((const __m256i *)&entries[k * 8]);

		conclude(call->policy, &call->verdicts, outcome[k], columns[k].traffic_class,
			 _mm256_srli_epi32(entry, 16), family, &judged[k * 8], &decided[k * 8]);
		if (!tables)
			set_aside(call, family, &columns[k], outcome[k], entry, 0xff & (((1u << here) - 1) >> k * 8));
	}
	for (uint32_t i = 0; i < here; i++) {
		uint32_t place = entries[i] & 0xffff;

		if (call->judged)
			call->judged[place] = judged[i];
		call->decided[place] = decided[i];
	}
}

#define JUDGE(name, family, tables)                                                                                       \
	static AVX2 __attribute__((noinline)) void name(struct call *call, const uint32_t *entries, uint32_t here)      \
	{                                                                                                               \
		judge_family(call, entries, here, family, tables);                                                      \
	}
JUDGE(judge4, EDGE_KEY_IP4, 0)
JUDGE(judge6, EDGE_KEY_IP6, 0)
JUDGE(judge4_hard, EDGE_KEY_IP4, 1)
JUDGE(judge6_hard, EDGE_KEY_IP6, 1)
#undef JUDGE

typedef void judge_function(struct call *call, const uint32_t *entries, uint32_t here);

/* Judge the first group of a queue of less than two. */
AVX2_INLINE void judge_group(struct call *call, struct queue *queue, judge_function *judge)
{
	judge(call, queue->entry, GROUP);
	queue->count -= GROUP;
	for (int i = 0; i < GROUP; i += 8)
		_mm256_storeu_si256((__m256i *)&queue->entry[i], _mm256_loadu_si256((const __m256i *)&queue->entry[GROUP + i]));
}

/* Judge all of a queue. */
AVX2_INLINE void judge_queue(struct call *call, const struct queue *queue, judge_function *judge)
{
	for (uint32_t first = 0; first < queue->count; first += GROUP)
		judge(call, &queue->entry[first], queue->count - first < GROUP ? queue->count - first : GROUP);
}

/* While packets are IPv4 without tags, group by group, nothing need be sorted. Returns how many were judged. */
static AVX2 __attribute__((noinline)) size_t judge_plain(struct call *call, size_t n)
{
	const int aside = call->hints || call->policy->head.filter4;
	size_t done;

	for (done = 0; done + GROUP <= n; done += GROUP) {
		__m256i enough = all(~0u);
		struct columns columns[PARTS];
		__m256i outcome[PARTS];
		unsigned int good = 0xff;

		EACH_PART(k) {
			__m256i length = _mm256_loadu_si256((const __m256i *)&call->lengths[done + (size_t)k * 8]);

			enough = _mm256_and_si256(enough, _mm256_cmpgt_epi32(length, all(EDGE_ETHERNET + IP4_OCTETS - 1)));
		}
		if (_mm256_movemask_epi8(enough) != -1)
			break;
		EACH_PART(k) {
			const uint8_t *at[8];

			ask_for(&call->ahead, 4);
			for (int i = 0; i < 8; i++)
				at[i] = call->base + call->offsets[done + (size_t)(k * 8 + i)];
			read4(at, EDGE_ETHERNET, &columns[k]);
			good &= columns[k].good;
		}
		if (good != 0xff)
			break;
		match4(call->policy, 0, columns, outcome);
		EACH_PART(k) {
			size_t first = done + (size_t)k * 8;

			ask_for(&call->ahead, 4);
			if (aside)
				set_aside(call, EDGE_KEY_IP4, &columns[k], outcome[k],
					  _mm256_or_si256(numbers_from((uint32_t)first), all(EDGE_ETHERNET << 16)), 0xff);
			conclude(call->policy, &call->verdicts, outcome[k], columns[k].traffic_class, all(EDGE_ETHERNET),
				 EDGE_KEY_IP4, call->judged ? &call->judged[first] : NULL, &call->decided[first]);
		}
	}
	return done;
}

/* Sort eight packets. */
AVX2_INLINE void sort_all(struct call *call, size_t first, struct queue *four, struct queue *six)
{
	const uint8_t *at[8];

	for (size_t i = 0; i < 8; i++)
		at[i] = call->lengths[first + i] >= SORT_OCTETS ? call->base + call->offsets[first + i] : nothing;
	sort8(at, _mm256_loadu_si256((const __m256i *)&call->lengths[first]), (uint32_t)first, 0xff, four, six, &call->rest);
}

/* Sort fewer than eight packets. */
AVX2_INLINE void sort_some(struct call *call, size_t first, size_t here, struct queue *four, struct queue *six)
{
	struct eight lengths = {{0}};
	const uint8_t *at[8];

	for (size_t i = 0; i < 8; i++) {
		if (i < here)
			lengths.of[i] = call->lengths[first + i];
		at[i] = lengths.of[i] >= SORT_OCTETS ? call->base + call->offsets[first + i] : nothing;
	}
	sort8(at, fetch(&lengths), (uint32_t)first, (1u << here) - 1, four, six, &call->rest);
}

/* Judge any packets, but for the rest. */
static AVX2 __attribute__((noinline)) void judge_sorted(struct call *call, size_t first, size_t n)
{
	struct queue four, six;

	four.count = six.count = 0;
	for (; first < n; first += 8) {
		ask_for(&call->ahead, 4);
		if (n - first >= 8)
			sort_all(call, first, &four, &six);
		else
			sort_some(call, first, n - first, &four, &six);
		ask_for(&call->ahead, 4);
		if (four.count >= GROUP)
			judge_group(call, &four, judge4);
		if (six.count >= GROUP)
			judge_group(call, &six, judge6);
	}
	judge_queue(call, &four, judge4);
	judge_queue(call, &six, judge6);
}

AVX2 void edge_lane_avx2(const struct edge_policy *policy, const uint8_t *base, const uint64_t *offsets,
			 const uint32_t *lengths, size_t n, size_t known, struct edge_judged *judged,
			 struct edge_verdict *decided)
{
	struct call call;
	size_t plain;

	if (policy->head.hints && (policy->head.lane_flags & (EDGE_LANE4 | EDGE_LANE6)) != (EDGE_LANE4 | EDGE_LANE6)) {
		edge_lane_scalar(policy, base, offsets, lengths, n, known, judged, decided);
		return;
	}
	call.policy = policy;
	call.base = base;
	call.offsets = offsets;
	call.lengths = lengths;
	call.judged = judged;
	call.decided = decided;
	call.ahead = (struct ahead){base, offsets + (EDGE_AHEAD < known ? EDGE_AHEAD : known), offsets + known};
	call.rest.count = call.hard4.count = call.hard6.count = 0;
	call.hints = policy->head.hints;
	open_verdicts(policy, &call.verdicts);
	plain = judge_plain(&call, n);
	if (plain < n)
		judge_sorted(&call, plain, n);
	judge_queue(&call, &call.hard4, judge4_hard);
	judge_queue(&call, &call.hard6, judge6_hard);
	for (uint32_t k = 0; k < call.rest.count; k++) {
		size_t i = call.rest.entry[k] & 0xffff;

		edge_lane_scalar(policy, base, &offsets[i], &lengths[i], 1, 0, judged ? &judged[i] : NULL, &decided[i]);
	}
}

#endif

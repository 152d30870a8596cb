#define _GNU_SOURCE
#include "ringmark.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "ringframe.h"

#define FIRST_PLACES 4u

static const struct edge_tag NO_TAG = {0, 0};

/* The place of the marking for these tags in a table that has places, or the free one where it belongs. */
static struct edge_ring_policy *place_of(struct edge_ring_policy *table, uint32_t places, struct edge_tag outer,
					 struct edge_tag inner)
{
	const struct edge_rule_key key = {0, outer, inner};
	uint32_t i = edge_ring_hash(&key) & (places - 1);

	while (table[i].policy && (table[i].outer.tpid != outer.tpid || table[i].outer.vid != outer.vid ||
				   table[i].inner.tpid != inner.tpid || table[i].inner.vid != inner.vid))
		i = (i + 1) & (places - 1);
	return &table[i];
}

static const struct edge_ring_policy *find(const struct edge_ring_marks *marks, uint32_t stage, struct edge_tag outer,
					   struct edge_tag inner)
{
	const struct edge_ring_policy *found;

	if (!marks->stage[stage].count)
		return 0;
	found = place_of(marks->stage[stage].at, marks->stage[stage].places, outer, inner);
	return found->policy ? found : 0;
}

/* The marking for a frame: that of its two outermost tags, else of the outermost, else the one without a tag. */
static const struct edge_ring_policy *policy_of(const struct edge_ring_marks *marks, uint32_t stage, const uint8_t *at,
						uint32_t length)
{
	const struct edge_ring_policy *found = 0;
	struct edge_ring_stack s;

	if (!marks->stage[stage].count)
		return 0;
	edge_ring_read(at, length, &s);
	if (s.depth > 1)
		found = find(marks, stage, s.key.outer, s.key.inner);
	if (!found && s.depth)
		found = find(marks, stage, s.key.outer, NO_TAG);
	return found ? found : find(marks, stage, NO_TAG, NO_TAG);
}

int edge_ring_apply_mark(struct edge_ring *ring, const struct edge_ring_marks *marks, uint32_t stage, uint32_t number)
{
	struct edge_ring_frame *frame = &ring->frames[number];
	uint8_t *at = edge_ring_data(ring, number);
	const uint8_t *end = at + frame->length;
	const struct edge_ring_policy *mark = policy_of(marks, stage, at, frame->length);
	struct edge_verdict verdict;
	struct edge_marked *counted;
	struct edge_key key;
	int unknown;

	if (!mark)
		return 0;
	edge_parse(at, end, &key);
	if (mark->policy->head.hints)
		edge_hint(at, end, &key);
	counted = &ring->shared->marked[(mark->set.counters + edge_match(mark->policy, &key, &verdict)) %
					EDGE_MARK_COUNTERS_MAX];
	counted->packets += frame->packets;
	counted->bytes += frame->bytes;
	unknown = (verdict.flags & EDGE_VERDICT_IP) && !(mark->set.known >> (key.traffic_class >> 2) & 1);
	counted->unknown += unknown ? frame->packets : 0;
	if (unknown && mark->set.knob == EDGE_KNOB_DROP) {
		counted->dropped += frame->packets;
		return 1;
	}
	if (unknown && mark->set.knob == EDGE_KNOB_REMARK)
		verdict.dscp = 0;
	if ((verdict.flags & EDGE_VERDICT_IP) && verdict.dscp != key.traffic_class >> 2 &&
	    edge_rewrite(at + key.l3, end, key.flags, verdict.dscp))
		counted->remarked += frame->packets;
	if (mark->set.queue_base)
		frame->class_id = (uint16_t)((mark->set.queue_base & 0xffff) - 1 + verdict.queue);
	return 0;
}

static void let_go(const struct edge_ring_policy *mark)
{
	munmap((void *)(uintptr_t)mark->policy, EDGE_POLICY_SIZE);
}

/* Make sure that one more marking leaves half of the places free: 0 or ENOMEM. */
static int make_room(struct edge_ring_marks *marks, uint32_t stage)
{
	uint32_t before = marks->stage[stage].places, places = before ? before : FIRST_PLACES;
	struct edge_ring_policy *table;

	if (before && 2 * (marks->stage[stage].count + 1) <= before)
		return 0;
	places *= 2;
	table = calloc(places, sizeof(*table));
	if (!table)
		return ENOMEM;
	for (uint32_t i = 0; i < before; i++) {
		const struct edge_ring_policy *old = &marks->stage[stage].at[i];

		if (old->policy)
			*place_of(table, places, old->outer, old->inner) = *old;
	}
	free(marks->stage[stage].at);
	marks->stage[stage].at = table;
	marks->stage[stage].places = places;
	return 0;
}

int edge_ring_put_mark(struct edge_ring *ring, struct edge_ring_marks *marks, const struct edge_ring_mark *wanted,
		       int fd)
{
	const struct edge_policy *policy;
	struct edge_ring_policy *place;
	struct stat status;

	if (fd < 0 || fstat(fd, &status) || status.st_size < EDGE_POLICY_SIZE)
		return EBADF;
	if (make_room(marks, wanted->stage))
		return ENOMEM;
	policy = mmap(0, EDGE_POLICY_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	if (policy == MAP_FAILED)
		return errno;
	if (policy->head.magic != EDGE_POLICY_MAGIC ||
	    (uint64_t)wanted->set.counters + policy->head.rules >= EDGE_MARK_COUNTERS_MAX) {
		munmap((void *)(uintptr_t)policy, EDGE_POLICY_SIZE);
		return EINVAL;
	}
	place = place_of(marks->stage[wanted->stage].at, marks->stage[wanted->stage].places, wanted->outer, wanted->inner);
	if (place->policy)
		let_go(place);
	else
		marks->stage[wanted->stage].count++;
	memset(&ring->shared->marked[wanted->set.counters], 0,
	       (policy->head.rules + 1u) * sizeof(ring->shared->marked[0]));
	*place = (struct edge_ring_policy){wanted->outer, wanted->inner, wanted->set, policy};
	return 0;
}

int edge_ring_delete_mark(struct edge_ring_marks *marks, const struct edge_ring_mark *gone)
{
	struct edge_ring_policy *table = marks->stage[gone->stage].at, *place, moved;
	uint32_t places = marks->stage[gone->stage].places, i;

	if (!find(marks, gone->stage, gone->outer, gone->inner))
		return ENOENT;
	place = place_of(table, places, gone->outer, gone->inner);
	let_go(place);
	place->policy = 0;
	marks->stage[gone->stage].count--;
	/* Those behind it may have been displaced by it. */
	for (i = (uint32_t)(place - table + 1) & (places - 1); table[i].policy; i = (i + 1) & (places - 1)) {
		moved = table[i];
		table[i].policy = 0;
		*place_of(table, places, moved.outer, moved.inner) = moved;
	}
	return 0;
}

void edge_ring_forget_marks(struct edge_ring_marks *marks)
{
	for (uint32_t stage = 0; stage < 2; stage++) {
		for (uint32_t i = 0; i < marks->stage[stage].places; i++)
			if (marks->stage[stage].at[i].policy)
				let_go(&marks->stage[stage].at[i]);
		free(marks->stage[stage].at);
		marks->stage[stage].at = 0;
		marks->stage[stage].count = marks->stage[stage].places = 0;
	}
}

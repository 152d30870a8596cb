#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ringcut.h"
#include "ringengine.h"
#include "ringmark.h"

#define QUEUE_PLACES 2048u  /* frames of one queue */
#define LINE_PLACES 4096u   /* frames of each line of an impairment */
#define LATE_NS 10000000ULL /* what a tree's wire loses no time by when we are not scheduled */

/* What a port does besides. Memory of trees and impairments that the other process may read lies in `shared`;
 * what they hold lies here. */
struct edge_ring_stages {
	struct edge_ring_marks marks;
	struct edge_ring_shared_tree *trees[EDGE_RING_TREES]; /* by number; 0: not there */
	uint32_t tree_count;
	uint16_t tree_numbers[EDGE_RING_TREES]; /* of those that are there */
	struct edge_ring_shared_impairment *impairment;
	void *tree_memory[EDGE_RING_TREES];
	void *line_memory;
	uint32_t users; /* trees and impairments; none, and no marks: the stages go */
};

int edge_ring_mark_arriving(struct edge_ring *ring, struct edge_ring_port *port, uint32_t frame)
{
	return edge_ring_apply_mark(ring, &port->stages->marks, EDGE_RING_ARRIVING, frame);
}

/* The bad wire's, as a wire has frames. */
static void offer(struct edge_ring *ring, struct edge_ring_port *port, uint32_t number)
{
	struct edge_impair *impair = &port->stages->impairment->impair;
	int copies;

	if (ring->free_count < EDGE_RING_RESERVE) {
		port->stats->overrun++;
		edge_ring_release(ring, number);
		return;
	}
	copies = edge_impair_offer(impair, ring->now_ns, ring->frames[number].bytes, number);
	if (!copies)
		edge_ring_release(ring, number);
	else if (copies == 2)
		ring->frames[number].holders++;
}

/* A frame that waits no more goes on to the bad wire, a large one in segments, or to the port. */
void edge_ring_harm(struct edge_ring *ring, struct edge_ring_port *port, uint32_t number)
{
	const struct edge_ring_frame *frame = &ring->frames[number];
	struct edge_ring_cut cut;

	if (!port->stages->impairment) {
		edge_ring_send(ring, port, number);
		return;
	}
	if (!edge_ring_cut_begin(edge_ring_data(ring, number), frame, &cut)) {
		offer(ring, port, number);
		return;
	}
	for (uint32_t i = 0; i < frame->packets; i++) {
		uint32_t made = edge_ring_take(ring);

		if (made == EDGE_RING_FRAMES) {
			port->stats->overrun++;
			continue;
		}
		ring->frames[made].offset = EDGE_RING_HEADROOM;
		edge_ring_cut_one(edge_ring_data(ring, number), frame, &cut, i, edge_ring_data(ring, made),
				  &ring->frames[made]);
		offer(ring, port, made);
	}
	edge_ring_release(ring, number);
}

void edge_ring_leave(struct edge_ring *ring, struct edge_ring_port *port, uint32_t number)
{
	struct edge_ring_stages *stages = port->stages;
	struct edge_ring_frame *frame = &ring->frames[number];
	struct edge_ring_shared_tree *tree = 0;
	uint32_t queue;

	if (!stages) {
		edge_ring_send(ring, port, number);
		return;
	}
	if (edge_ring_apply_mark(ring, &stages->marks, EDGE_RING_LEAVING, number)) {
		edge_ring_release(ring, number);
		return;
	}
	if (frame->class_id < EDGE_RING_TREES * EDGE_SCHEDULE_QUEUES)
		tree = stages->trees[frame->class_id / EDGE_SCHEDULE_QUEUES];
	if (!tree) {
		/* Nobody steered it (ARP, a frame of no circuit): nothing to wait for. */
		edge_ring_harm(ring, port, number);
		return;
	}
	queue = frame->class_id % EDGE_SCHEDULE_QUEUES;
	/* The last frames are for what must not wait. */
	if (ring->free_count < (tree->schedule.queue[queue].set.strict ? EDGE_RING_RESERVE / 2 : EDGE_RING_RESERVE)) {
		port->stats->overrun++;
		edge_ring_release(ring, number);
	} else if (!edge_schedule_put(&tree->schedule, queue, frame->bytes, frame->packets, number)) {
		edge_ring_release(ring, number);
	}
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* What may go from the queues and the bad wire of one port; returns when there is more to do. */
static uint64_t serve(struct edge_ring *ring, struct edge_ring_port *port)
{
	struct edge_ring_stages *stages = port->stages;
	uint64_t due_ns = UINT64_MAX, frame;
	uint32_t queue;

	for (uint32_t i = 0; i < stages->tree_count; i++) {
		struct edge_ring_shared_tree *tree = stages->trees[stages->tree_numbers[i]];

		while (edge_schedule_take(&tree->schedule, ring->now_ns, &frame, &queue))
			edge_ring_harm(ring, port, (uint32_t)frame);
		due_ns = earlier(due_ns, edge_schedule_due(&tree->schedule));
	}
	if (stages->impairment) {
		struct edge_impair *impair = &stages->impairment->impair;

		while (edge_impair_take(impair, ring->now_ns, &frame))
			edge_ring_send(ring, port, (uint32_t)frame);
		due_ns = earlier(due_ns, edge_impair_due(impair));
	}
	return due_ns;
}

uint64_t edge_ring_due(struct edge_ring *ring)
{
	uint64_t due_ns = UINT64_MAX;

	for (uint32_t i = 0; i < ring->staged; i++)
		due_ns = earlier(due_ns, serve(ring, ring->stage_ports[i]));
	return due_ns;
}

static int use_stages(struct edge_ring *ring, struct edge_ring_port *port)
{
	if (!port->stages) {
		port->stages = calloc(1, sizeof(*port->stages));
		if (!port->stages)
			return ENOMEM;
		ring->stage_ports[ring->staged++] = port;
	}
	return 0;
}

/* One thing less; without any the port has no stages. */
static void disuse_stages(struct edge_ring *ring, struct edge_ring_port *port)
{
	const struct edge_ring_marks *marks = &port->stages->marks;

	if (port->stages->users || marks->stage[EDGE_RING_ARRIVING].count || marks->stage[EDGE_RING_LEAVING].count)
		return;
	edge_ring_forget_marks(&port->stages->marks);
	free(port->stages);
	port->stages = 0;
	for (uint32_t i = 0; i < ring->staged; i++) {
		if (ring->stage_ports[i] == port) {
			ring->stage_ports[i] = ring->stage_ports[--ring->staged];
			return;
		}
	}
}

static int put_tree(struct edge_ring *ring, struct edge_ring_stages *stages, const struct edge_ring_tree *wanted)
{
	struct edge_ring_shared_tree *place, *old;

	if (wanted->number >= EDGE_RING_TREES || wanted->place >= EDGE_RING_PLACES || !wanted->rate_bps ||
	    !wanted->queues || wanted->queues > EDGE_SCHEDULE_QUEUES)
		return EINVAL;
	old = stages->trees[wanted->number];
	place = &ring->shared->trees[wanted->place];
	if (old && (old != place || wanted->queues < old->schedule.queues))
		return EINVAL;
	if (!old) {
		void *memory;

		if (place->used)
			return EEXIST;
		memory = calloc(EDGE_SCHEDULE_QUEUES * QUEUE_PLACES, sizeof(struct edge_queued));
		if (!memory)
			return ENOMEM;
		edge_schedule_init(&place->schedule, memory, QUEUE_PLACES, LATE_NS);
		stages->tree_memory[wanted->number] = memory;
		stages->trees[wanted->number] = place;
		stages->tree_numbers[stages->tree_count++] = (uint16_t)wanted->number;
		stages->users++;
		place->used = 1;
	}
	edge_schedule_set(&place->schedule, wanted->rate_bps, wanted->round_octets, wanted->queue, wanted->queues);
	place->set = *wanted;
	return 0;
}

/* Let the frames of a tree go on at once, or (send 0) drop them. */
static int delete_tree(struct edge_ring *ring, struct edge_ring_port *port, uint32_t number, int send)
{
	struct edge_ring_stages *stages = port->stages;
	struct edge_ring_shared_tree *tree = number < EDGE_RING_TREES ? stages->trees[number] : 0;
	uint64_t frame;

	if (!tree)
		return ENOENT;
	while (edge_schedule_drain(&tree->schedule, &frame)) {
		if (send)
			edge_ring_harm(ring, port, (uint32_t)frame);
		else
			edge_ring_release(ring, (uint32_t)frame);
	}
	free(stages->tree_memory[number]);
	stages->tree_memory[number] = 0;
	stages->trees[number] = 0;
	for (uint32_t i = 0; i < stages->tree_count; i++) {
		if (stages->tree_numbers[i] == number) {
			stages->tree_numbers[i] = stages->tree_numbers[--stages->tree_count];
			break;
		}
	}
	stages->users--;
	memset(tree, 0, sizeof(*tree));
	return 0;
}

static int put_impairment(struct edge_ring *ring, struct edge_ring_stages *stages,
			  const struct edge_ring_impairment *wanted)
{
	struct edge_ring_shared_impairment *place;

	if (wanted->place >= EDGE_RING_PLACES)
		return EINVAL;
	place = &ring->shared->impairments[wanted->place];
	if (stages->impairment) {
		if (stages->impairment != place)
			return EINVAL;
		place->impair.set = wanted->set;
		return 0;
	}
	if (place->used)
		return EEXIST;
	stages->line_memory = calloc(2 * LINE_PLACES, sizeof(struct edge_waiting));
	if (!stages->line_memory)
		return ENOMEM;
	edge_impair_init(&place->impair, &wanted->set, stages->line_memory,
			 (struct edge_waiting *)stages->line_memory + LINE_PLACES, LINE_PLACES);
	place->used = 1;
	stages->impairment = place;
	stages->users++;
	return 0;
}

/* Let the frames that wait go at once, or (send 0) drop them. */
static int delete_impairment(struct edge_ring *ring, struct edge_ring_port *port, int send)
{
	struct edge_ring_stages *stages = port->stages;
	uint64_t frame;

	if (!stages->impairment)
		return ENOENT;
	while (edge_impair_take(&stages->impairment->impair, UINT64_MAX, &frame)) {
		if (send)
			edge_ring_send(ring, port, (uint32_t)frame);
		else
			edge_ring_release(ring, (uint32_t)frame);
	}
	memset(stages->impairment, 0, sizeof(*stages->impairment));
	free(stages->line_memory);
	stages->line_memory = 0;
	stages->impairment = 0;
	stages->users--;
	return 0;
}

void edge_ring_unstage(struct edge_ring *ring, struct edge_ring_port *port)
{
	struct edge_ring_stages *stages = port->stages;

	if (!stages)
		return;
	while (stages->tree_count)
		delete_tree(ring, port, stages->tree_numbers[0], 0);
	delete_impairment(ring, port, 0);
	edge_ring_forget_marks(&stages->marks);
	stages->users = 0;
	disuse_stages(ring, port);
}

static int carry_out(struct edge_ring *ring, struct edge_ring_port *port, uint32_t op, const uint8_t *body,
		     size_t length, int fd)
{
	union {
		struct edge_ring_mark mark;
		struct edge_ring_tree tree;
		struct edge_ring_impairment impairment;
	} wanted;
	size_t expected = op <= EDGE_RING_MARK_DELETE	? sizeof(wanted.mark)
			  : op <= EDGE_RING_TREE_DELETE ? sizeof(wanted.tree)
							: sizeof(wanted.impairment);

	if (length != expected)
		return EINVAL;
	memcpy(&wanted, body, length);
	if (op <= EDGE_RING_MARK_DELETE && wanted.mark.stage > EDGE_RING_LEAVING)
		return EINVAL;
	switch (op) {
	case EDGE_RING_MARK_PUT:
		return edge_ring_put_mark(ring, &port->stages->marks, &wanted.mark, fd);
	case EDGE_RING_MARK_DELETE:
		return edge_ring_delete_mark(&port->stages->marks, &wanted.mark);
	case EDGE_RING_TREE_PUT:
		return put_tree(ring, port->stages, &wanted.tree);
	case EDGE_RING_TREE_DELETE:
		return delete_tree(ring, port, wanted.tree.number, 1);
	case EDGE_RING_IMPAIRMENT_PUT:
		return put_impairment(ring, port->stages, &wanted.impairment);
	default:
		return delete_impairment(ring, port, 1);
	}
}

int edge_ring_stage(struct edge_ring *ring, struct edge_ring_port *port, uint32_t op, const uint8_t *body, size_t length,
		    int fd)
{
	int refused;

	if (op < EDGE_RING_MARK_PUT || op > EDGE_RING_IMPAIRMENT_DELETE)
		return EINVAL;
	refused = use_stages(ring, port);
	if (refused)
		return refused;
	ring->now_ns = edge_ring_clock();
	refused = carry_out(ring, port, op, body, length, fd);
	edge_ring_flush(ring);
	disuse_stages(ring, port);
	return refused;
}

#define _GNU_SOURCE
#include "ring.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ringengine.h"
#include "ringframe.h"

#ifndef EDGE_SOURCES
#error "build with edge/fastpath/build.py, which defines EDGE_SOURCES"
#endif

#define EVENTS 64
#define CONTROL_FD 3
#define NS_PER_S 1000000000ULL

uint64_t edge_ring_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void count_dropped(struct edge_stats *stats, const struct edge_ring_frame *frame)
{
	stats->dropped_packets += frame->packets;
	stats->dropped_bytes += frame->bytes;
}

static void count_passed(struct edge_stats *stats, const struct edge_ring_frame *frame)
{
	stats->packets += frame->packets;
	stats->bytes += frame->bytes;
}

static int conforms(struct edge_ring *ring, const struct edge_rule *rule, const struct edge_ring_frame *frame,
		    enum edge_class class)
{
	struct edge_ring_slot *slot = &ring->shared->slots[rule->slot];
	struct edge_stats *judged = &slot->policer.classes[class];

	if (edge_police(&ring->shared->slots[rule->bucket].policer.bucket, &rule->rate, ring->now_ns, frame->bytes)) {
		count_passed(judged, frame);
		return 1;
	}
	count_dropped(judged, frame);
	count_dropped(&slot->stats, frame);
	return 0;
}

/* Priority bits of the tag at the same place are kept; a tag put on above the old ones takes those of the
 * outermost old tag, as a provider bridge does. */
static void rewrite(uint8_t *buffer, struct edge_ring_frame *frame, const struct edge_ring_stack *s, uint32_t pop,
		    uint32_t push, const struct edge_tag *tags)
{
	uint16_t outer = s->tci[0] & EDGE_RING_PRIORITY;
	uint16_t inner = pop > 1 ? s->tci[1] & EDGE_RING_PRIORITY : outer;

	if (pop)
		edge_ring_pop(buffer, frame, pop);
	if (push > 1)
		edge_ring_push(buffer, frame, tags[1].tpid, tags[1].vid | inner);
	if (push)
		edge_ring_push(buffer, frame, tags[0].tpid, tags[0].vid | outer);
}

/* What a subinterface sends: tags as tags.bpf.c puts them on, without priority. */
static void depart(struct edge_ring *ring, const struct edge_subinterface *sub, uint32_t number)
{
	struct edge_ring_frame *frame = &ring->frames[number];
	uint8_t *buffer = edge_ring_buffer(ring, number);

	if (sub->push > 1)
		edge_ring_push(buffer, frame, sub->tags[1].tpid, sub->tags[1].vid);
	if (sub->push)
		edge_ring_push(buffer, frame, sub->tags[0].tpid, sub->tags[0].vid);
	edge_ring_measure(edge_ring_data(ring, number), frame);
	count_passed(&ring->shared->slots[sub->slot].stats, frame);
	edge_ring_leave(ring, &ring->ports[sub->port], number);
}

void edge_ring_arrive(struct edge_ring *ring, struct edge_ring_port *port, uint32_t number)
{
	struct edge_ring_frame *frame = &ring->frames[number];
	const struct edge_rule *rule;
	struct edge_ring_stack s;
	const uint8_t *at;

	frame->class_id = EDGE_RING_NO_CLASS;
	edge_ring_measure(edge_ring_data(ring, number), frame);
	if (port->stages && edge_ring_mark_arriving(ring, port, number)) {
		edge_ring_release(ring, number);
		return;
	}
	if (port->shared->subinterface) {
		depart(ring, &port->shared->entry, number);
		return;
	}
	at = edge_ring_data(ring, number);
	edge_ring_read(at, frame->length, &s);
	s.key.ifindex = port->number;
	rule = edge_ring_match(ring->shared, &s.key, s.depth);
	if (!rule) {
		edge_ring_remember(ring->shared, &s.key, frame->packets, ring->now_ns);
		count_dropped(&port->shared->dropped, frame);
		edge_ring_release(ring, number);
		return;
	}
	if (rule->rate.rate_bps && !conforms(ring, rule, frame, edge_ring_class(at, frame->length, &s))) {
		edge_ring_release(ring, number);
		return;
	}
	/* Counted as it came: the policer's octets are those of the side the rate is sold on. */
	count_passed(&ring->shared->slots[rule->slot].stats, frame);
	rewrite(edge_ring_buffer(ring, number), frame, &s, rule->pop, rule->push, rule->tags);
	edge_ring_measure(edge_ring_data(ring, number), frame);
	edge_ring_leave(ring, &ring->ports[rule->ifindex], number);
}

static int setup(struct edge_ring *ring, struct edge_ring_shared *shared, int control)
{
	struct epoll_event event = {.events = EPOLLIN, .data = {.u32 = 0}};

	ring->shared = shared;
	ring->control = control;
	ring->epoll = epoll_create1(EPOLL_CLOEXEC);
	/* Octets of a buffer that no frame ever reached cost nothing. */
	ring->buffers = mmap(0, (size_t)EDGE_RING_FRAMES * EDGE_RING_BUFFER, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ring->frames = mmap(0, EDGE_RING_FRAMES * sizeof(*ring->frames), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ring->epoll < 0 || ring->buffers == MAP_FAILED || ring->frames == MAP_FAILED)
		return -1;
	for (uint32_t i = 0; i < EDGE_RING_FRAMES; i++)
		ring->frames[i].next = i + 1;
	ring->free_count = EDGE_RING_FRAMES;
	for (uint32_t i = 0; i < EDGE_RING_PORTS; i++) {
		ring->ports[i].number = i;
		ring->ports[i].fd = -1;
		ring->ports[i].shared = &shared->ports[i];
		ring->ports[i].stats = &shared->ports[i].stats;
	}
	return epoll_ctl(ring->epoll, EPOLL_CTL_ADD, control, &event);
}

/* Wait for frames, commands or the time `due_ns`. */
static int wait_for(struct edge_ring *ring, struct epoll_event *events, uint64_t due_ns)
{
	struct timespec left, *timeout = 0;

	if (due_ns != UINT64_MAX) {
		uint64_t ns = due_ns > ring->now_ns ? due_ns - ring->now_ns : 0;

		left = (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
		timeout = &left;
	}
	return (int)syscall(SYS_epoll_pwait2, ring->epoll, events, EVENTS, timeout, 0, 0);
}

static int run(struct edge_ring *ring)
{
	struct epoll_event events[EVENTS];
	uint64_t due_ns = UINT64_MAX;

	for (;;) {
		int ready = wait_for(ring, events, due_ns), commanded = 0;

		if (ready < 0 && errno != EINTR)
			return -1;
		for (int i = 0; i < ready; i++) {
			if (!events[i].data.u32) {
				commanded = 1;
				continue;
			}
			ring->now_ns = edge_ring_clock();
			edge_ring_receive(ring, &ring->ports[events[i].data.u32]);
			edge_ring_flush(ring);
		}
		if (ring->staged) {
			ring->now_ns = edge_ring_clock();
			due_ns = edge_ring_due(ring);
			edge_ring_flush(ring);
		} else {
			due_ns = UINT64_MAX;
		}
		/* Last: a port that goes must not be among the events that are still to be handled. */
		if (commanded && edge_ring_obey(ring))
			return 0;
	}
}

static void __attribute__((noreturn)) child(int control, struct edge_ring_shared *shared)
{
	struct sigaction act = {.sa_handler = SIG_DFL};
	struct edge_ring *ring;
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		sigaction(number, &act, 0);
	/* Those are meant for who started us; we end with it. */
	act.sa_handler = SIG_IGN;
	sigaction(SIGINT, &act, 0);
	sigaction(SIGHUP, &act, 0);
	sigaction(SIGTERM, &act, 0);
	sigaction(SIGPIPE, &act, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, 0);
	prctl(PR_SET_NAME, "ring", 0, 0, 0);
	/* A wire's next frame is often microseconds away; the default slack is 50 of them. */
	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	if (control != CONTROL_FD && dup2(control, CONTROL_FD) < 0)
		_exit(2);
	if (syscall(SYS_close_range, CONTROL_FD + 1, ~0U, 0))
		_exit(2);
	ring = mmap(0, sizeof(*ring), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ring == MAP_FAILED || setup(ring, shared, CONTROL_FD))
		_exit(2);
	_exit(run(ring) ? 1 : 0);
}

int edge_ring_start(int control, void *shared)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid)
		child(control, shared);
	return pid;
}

size_t edge_ring_shared_size(void)
{
	return sizeof(struct edge_ring_shared);
}

uint32_t edge_ring_rules(const void *shared, uint8_t *pairs)
{
	const struct edge_ring_shared *tables = shared;
	uint32_t count = 0;

	for (uint32_t i = 0; i < EDGE_RING_RULES && count < EDGE_RING_RULES_MAX; i++) {
		const struct edge_ring_rule *place = &tables->rules[i];

		if (!place->key.ifindex)
			continue;
		memcpy(pairs, &place->key, sizeof(place->key));
		memcpy(pairs + sizeof(place->key), &place->rule, sizeof(place->rule));
		pairs += sizeof(place->key) + sizeof(place->rule);
		count++;
	}
	return count;
}

uint32_t edge_ring_unknown(const void *shared, uint8_t *pairs)
{
	const struct edge_ring_shared *tables = shared;
	uint32_t count = 0;

	for (uint32_t i = 0; i < EDGE_RING_UNKNOWN; i++) {
		const struct edge_ring_stranger *place = &tables->unknown[i];

		if (!place->key.ifindex)
			continue;
		memcpy(pairs, &place->key, sizeof(place->key));
		memcpy(pairs + sizeof(place->key), &place->packets, sizeof(place->packets));
		pairs += sizeof(place->key) + sizeof(place->packets);
		count++;
	}
	return count;
}

int edge_ring_subinterface(const void *shared, uint32_t port, uint8_t *entry)
{
	const struct edge_ring_shared_port *place = &((const struct edge_ring_shared *)shared)->ports[port];

	if (!place->used || !place->subinterface)
		return 0;
	memcpy(entry, &place->entry, sizeof(place->entry));
	return 1;
}

void edge_ring_port_count(const void *shared, uint32_t port, struct edge_ring_port_stats *stats)
{
	*stats = ((const struct edge_ring_shared *)shared)->ports[port].stats;
}

void edge_ring_port_dropped(const void *shared, uint32_t port, uint8_t *stats)
{
	memcpy(stats, &((const struct edge_ring_shared *)shared)->ports[port].dropped, sizeof(struct edge_stats));
}

int edge_ring_tree_read(const void *shared, uint32_t place, struct edge_ring_tree *set,
			struct edge_queue_counters *counters)
{
	const struct edge_ring_shared_tree *tree = &((const struct edge_ring_shared *)shared)->trees[place];

	if (!tree->used)
		return 0;
	*set = tree->set;
	for (int i = 0; i < EDGE_SCHEDULE_QUEUES; i++)
		counters[i] = tree->schedule.queue[i].counted;
	return 1;
}

int edge_ring_impairment_read(const void *shared, uint32_t place, struct edge_impairment *set,
			      struct edge_impair_counters *counters)
{
	const struct edge_ring_shared_impairment *found =
		&((const struct edge_ring_shared *)shared)->impairments[place];

	if (!found->used)
		return 0;
	*set = found->impair.set;
	*counters = edge_impair_count(&found->impair);
	return 1;
}

void edge_ring_marked(const void *shared, uint32_t counter, uint8_t *marked)
{
	memcpy(marked, &((const struct edge_ring_shared *)shared)->marked[counter], sizeof(struct edge_marked));
}

void edge_ring_slot_count(const void *shared, uint32_t slot, uint8_t *stats, uint8_t *policer)
{
	const struct edge_ring_slot *place = &((const struct edge_ring_shared *)shared)->slots[slot];

	memcpy(stats, &place->stats, sizeof(place->stats));
	memcpy(policer, &place->policer, sizeof(place->policer));
}

const char *edge_ring_sources(void)
{
	return EDGE_SOURCES;
}

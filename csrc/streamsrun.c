#define _GNU_SOURCE
#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "streamsengine.h"

#define BURST 64	   /* packets sent before arrivals are looked at */
#define EVENTS 16	   /* sources that are read before what is due is sent */
#define SOON_NS 2000000ULL /* from the call of edge_streams_run() to its begin */
#define REST 4096	   /* batches that are read of a source when all is over */

/* Whether lane a comes before lane b. */
static int before(const struct edge_streams *s, uint32_t a, uint32_t b)
{
	uint64_t due_a = s->lane[a]->due_ns, due_b = s->lane[b]->due_ns;

	return due_a < due_b || (due_a == due_b && a < b);
}

/* Put the heap in order below a place whose lane may be due too late for it. */
static void sink(struct edge_streams *s, uint32_t at)
{
	uint32_t moved = s->heap[at];

	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child >= s->waiting)
			break;
		if (child + 1 < s->waiting && before(s, s->heap[child + 1], s->heap[child]))
			child++;
		if (!before(s, s->heap[child], moved))
			break;
		s->heap[at] = s->heap[child];
		at = child;
	}
	s->heap[at] = moved;
}

static void begin(struct edge_streams *s, uint64_t start_ns)
{
	s->waiting = s->lanes;
	for (uint32_t i = 0; i < s->lanes; i++) {
		struct edge_lane *lane = s->lane[i];

		lane->begun_ns = start_ns + lane->set.begin_ns;
		lane->due_ns = lane->begun_ns + lane->set.slot[0].at_ns;
		s->heap[i] = i;
	}
	for (uint32_t i = s->waiting / 2; i-- > 0;)
		sink(s, i);
}

/* Send what is due, a burst at most: 0, or ENOMEM. */
static int send_due(struct edge_streams *s)
{
	uint64_t now_ns = edge_clock(CLOCK_MONOTONIC);

	for (int n = 0; n < BURST && s->waiting; n++) {
		struct edge_lane *lane = s->lane[s->heap[0]];

		if (lane->due_ns > now_ns)
			break;
		if (edge_streams_send(s, s->heap[0]))
			return ENOMEM;
		if (lane->next == lane->set.packets)
			s->heap[0] = s->heap[--s->waiting];
		if (s->waiting)
			sink(s, 0);
	}
	return 0;
}

static int arm(struct edge_streams *s, uint64_t when_ns)
{
	struct itimerspec set = {.it_value = {(time_t)(when_ns / NS_PER_S), (long)(when_ns % NS_PER_S)}};

	if (s->armed_ns == when_ns)
		return 0;
	s->armed_ns = when_ns;
	return timerfd_settime(s->timer, TFD_TIMER_ABSTIME, &set, NULL) ? errno : 0;
}

/* Sleep until `when_ns` or until something arrives or wakes us, and take what arrived: 0, or an errno. */
static int wait_until(struct edge_streams *s, uint64_t when_ns)
{
	struct epoll_event events[EVENTS];
	int overdue = when_ns <= edge_clock(CLOCK_MONOTONIC);
	int failed = overdue ? 0 : arm(s, when_ns);
	int count;

	if (failed)
		return failed;
	count = epoll_wait(s->epoll, events, EVENTS, overdue ? 0 : -1);
	if (count < 0)
		return errno == EINTR ? 0 : errno;
	for (int i = 0; i < count; i++) {
		if (events[i].data.u32 == EDGE_STREAM_WAKE) {
			uint64_t times;

			/* Which of the two it was does not matter, nor whether it has been read before. */
			if (read(s->timer, &times, sizeof(times)) > 0)
				s->armed_ns = EDGE_STREAM_NEVER;
			(void)!read(s->wake, &times, sizeof(times));
		} else {
			(void)edge_streams_receive(s, &s->source[events[i].data.u32]);
		}
	}
	return 0;
}

static int run(struct edge_streams *s, uint64_t linger_ns)
{
	uint64_t end_ns = 0;

	for (;;) {
		int failed = 0, stopping = LOAD(s->stopping);

		if (stopping > 1)
			return 0;
		if (stopping)
			s->waiting = 0;
		if (s->waiting) {
			failed = send_due(s);
		} else {
			uint64_t now_ns = edge_clock(CLOCK_MONOTONIC);

			if (!end_ns)
				end_ns = now_ns + linger_ns;
			if (!s->missing || now_ns >= end_ns)
				return 0;
		}
		if (!failed && (s->waiting || end_ns))
			failed = wait_until(s, s->waiting ? s->lane[s->heap[0]]->due_ns : end_ns);
		if (failed)
			return failed;
	}
}

int edge_streams_run(struct edge_streams *s, uint64_t start_ns, uint64_t linger_ns)
{
	int failed;

	if (s->ran)
		return EBUSY;
	s->ran = 1;
	begin(s, start_ns ? start_ns : edge_clock(CLOCK_MONOTONIC) + SOON_NS);
	failed = run(s, linger_ns);
	for (uint32_t i = 0; i < s->sources; i++)
		for (int n = 0; n < REST && edge_streams_receive(s, &s->source[i]); n++)
			;
	return failed;
}

void edge_streams_stop(struct edge_streams *s, int now)
{
	const uint64_t one = 1;

	if (now || !LOAD(s->stopping))
		STORE(s->stopping, now ? 2 : 1);
	/* It can only fail when it has been written 2^64 times. */
	(void)!write(s->wake, &one, sizeof(one));
}

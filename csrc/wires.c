#define _GNU_SOURCE
#include "wires.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "turnout.h"

#define BATCH 64	   /* frames of one wire before the next gets its turn */
#define ADDRESSES 12	   /* octets of the two MAC addresses at the start of a frame */
#define TPID 0x88a8	   /* of the turn-out's tag */
#define WAKE UINT32_MAX	   /* epoll's word for `wake` and `timer`; others are places of wires */
#define NO_PLACE EDGE_WIRE_PLACES /* one slot more, for a frame that nobody can hold */
#define NS_PER_S 1000000000ULL

struct wire {
	uint32_t number; /* 0: this place is empty */
	int sink;
	int out;
	uint32_t stride; /* octets of a buffer */
	uint32_t tagged; /* frames come with the turn-out's tag */
	uint32_t priority; /* SO_PRIORITY of `out` */
	uint64_t refused;
	struct edge_impair impair;
	struct edge_waiting *waiting; /* memory of both lines */
	struct slot *slots;
	uint32_t *free; /* stack of slots, so that the warmest is used first */
	uint32_t free_slots;
	uint8_t *buffers;
};

struct slot {
	uint32_t length; /* octets from behind the turn-out's tag */
	uint16_t minor;
	uint16_t holders;
};

struct edge_wires {
	pthread_mutex_t lock; /* held for one wire's batch at a time */
	int epoll;
	int timer;
	int wake;
	int stopped;
	uint64_t armed_ns; /* when the timer goes off, UINT64_MAX never */
	uint32_t used;	   /* places below this may hold wires */
	struct wire at[EDGE_WIRES];
};

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static size_t buffers_octets(const struct wire *w)
{
	return (size_t)w->stride * (EDGE_WIRE_PLACES + 1);
}

static void release(struct wire *w)
{
	close(w->sink);
	close(w->out);
	munmap(w->buffers, buffers_octets(w));
	free(w->waiting);
	free(w->slots);
	free(w->free);
	*w = (struct wire){0};
}

/* The buffer of a slot. The frame proper begins behind room for the tag. */
static uint8_t *buffer(const struct wire *w, uint64_t slot)
{
	return w->buffers + (size_t)slot * w->stride;
}

static void send_slot(struct wire *w, uint32_t slot)
{
	struct slot *s = &w->slots[slot];
	uint32_t priority = s->minor ? EDGE_TURNOUT_MAJOR << 16 | s->minor : 0;

	if (priority != w->priority) {
		if (setsockopt(w->out, SOL_SOCKET, SO_PRIORITY, &priority, sizeof(priority)) == 0)
			w->priority = priority;
	}
	if (send(w->out, buffer(w, slot) + EDGE_TURNOUT_TAG, s->length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		w->refused++;
	if (--s->holders == 0)
		w->free[w->free_slots++] = slot;
}

/* Send what departs until `now_ns`. */
static void send_due(struct wire *w, uint64_t now_ns)
{
	uint64_t slot;

	while (edge_impair_take(&w->impair, now_ns, &slot))
		send_slot(w, (uint32_t)slot);
}

/* Take the turn-out's tag off a frame of `length` octets; 0 when it has none. */
static int take_tag(uint8_t *frame, uint32_t length, struct slot *s)
{
	if (length < ADDRESSES + EDGE_TURNOUT_TAG + 2 || frame[ADDRESSES] != TPID >> 8 ||
	    frame[ADDRESSES + 1] != (TPID & 0xff))
		return 0;
	s->minor = (uint16_t)(frame[ADDRESSES + 2] << 8 | frame[ADDRESSES + 3]);
	memmove(frame + EDGE_TURNOUT_TAG, frame, ADDRESSES);
	s->length = length - EDGE_TURNOUT_TAG;
	return 1;
}

/* Read what the sink has, at most BATCH frames. 1 when there may be more, 0 when there is none, -1 when the sink has
 * gone. */
static int receive(struct wire *w)
{
	for (int i = 0; i < BATCH; i++) {
		uint32_t slot = w->free_slots ? w->free[w->free_slots - 1] : NO_PLACE;
		uint32_t begin = w->tagged ? 0 : EDGE_TURNOUT_TAG;
		ssize_t length = read(w->sink, buffer(w, slot) + begin, w->stride - begin);
		uint64_t now_ns;

		if (length < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -1;
		if (!length)
			return -1;
		w->slots[slot] = (struct slot){.length = (uint32_t)length};
		if (w->tagged && !take_tag(buffer(w, slot), (uint32_t)length, &w->slots[slot]))
			continue;
		if (slot == NO_PLACE) {
			edge_impair_miss(&w->impair);
			continue;
		}
		now_ns = now();
		w->slots[slot].holders =
			(uint16_t)edge_impair_offer(&w->impair, now_ns, w->slots[slot].length, slot);
		if (w->slots[slot].holders)
			w->free_slots--;
		send_due(w, now_ns);
	}
	return 1;
}

/* Set the timer for the frame that departs first. */
static void arm(struct edge_wires *wires)
{
	uint64_t due = UINT64_MAX;
	struct itimerspec at = {0};

	for (uint32_t i = 0; i < wires->used; i++) {
		if (wires->at[i].number) {
			uint64_t its = edge_impair_due(&wires->at[i].impair);

			due = its < due ? its : due;
		}
	}
	if (due == wires->armed_ns)
		return;
	wires->armed_ns = due;
	if (due != UINT64_MAX) {
		at.it_value.tv_sec = (time_t)(due / NS_PER_S);
		at.it_value.tv_nsec = (long)(due % NS_PER_S);
	}
	timerfd_settime(wires->timer, TFD_TIMER_ABSTIME, &at, NULL);
}

static struct wire *find(struct edge_wires *wires, uint32_t number)
{
	for (uint32_t i = 0; i < wires->used; i++)
		if (number && wires->at[i].number == number)
			return &wires->at[i];
	return NULL;
}

static void wake(struct edge_wires *wires)
{
	uint64_t one = 1;

	if (write(wires->wake, &one, sizeof(one)) < 0)
		return; /* full: it is awake */
}

static int watch(struct edge_wires *wires, int fd, uint32_t place)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = place};

	return epoll_ctl(wires->epoll, EPOLL_CTL_ADD, fd, &event) ? errno : 0;
}

int edge_sink_open(const char *name, uint32_t ifindex)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int error;

	if (fd < 0)
		return -errno;
	strncpy(request.ifr_name, name, sizeof(request.ifr_name) - 1);
	if (ioctl(fd, TUNSETIFINDEX, &ifindex) || ioctl(fd, TUNSETIFF, &request)) {
		error = errno;
		close(fd);
		return -error;
	}
	return fd;
}

struct edge_wires *edge_wires_new(void)
{
	struct edge_wires *wires = calloc(1, sizeof(*wires));

	if (!wires)
		return NULL;
	wires->armed_ns = UINT64_MAX;
	wires->epoll = epoll_create1(EPOLL_CLOEXEC);
	wires->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	wires->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wires->epoll < 0 || wires->timer < 0 || wires->wake < 0 || watch(wires, wires->timer, WAKE) ||
	    watch(wires, wires->wake, WAKE) || pthread_mutex_init(&wires->lock, NULL)) {
		edge_wires_free(wires);
		return NULL;
	}
	return wires;
}

void edge_wires_free(struct edge_wires *wires)
{
	for (uint32_t i = 0; i < wires->used; i++)
		if (wires->at[i].number)
			release(&wires->at[i]);
	close(wires->epoll);
	close(wires->timer);
	close(wires->wake);
	free(wires);
}

int edge_wires_run(struct edge_wires *wires)
{
	struct epoll_event events[64];
	uint64_t expired;

	while (!__atomic_load_n(&wires->stopped, __ATOMIC_ACQUIRE)) {
		int ready = epoll_wait(wires->epoll, events, 64, -1);

		if (ready < 0 && errno != EINTR)
			return errno;
		for (int i = 0; i < ready; i++) {
			uint32_t place = events[i].data.u32;

			if (place == WAKE)
				continue;
			pthread_mutex_lock(&wires->lock);
			/* A sink that has gone is ready for ever. What the event said may be of the one before it. */
			if (wires->at[place].number && receive(&wires->at[place]) < 0)
				epoll_ctl(wires->epoll, EPOLL_CTL_DEL, wires->at[place].sink, NULL);
			pthread_mutex_unlock(&wires->lock);
		}
		/* Both only count; what they stand for is looked at below. */
		while (read(wires->wake, &expired, sizeof(expired)) > 0)
			;
		while (read(wires->timer, &expired, sizeof(expired)) > 0)
			wires->armed_ns = UINT64_MAX;
		for (uint32_t i = 0; i < wires->used; i++) {
			pthread_mutex_lock(&wires->lock);
			if (wires->at[i].number)
				send_due(&wires->at[i], now());
			pthread_mutex_unlock(&wires->lock);
		}
		pthread_mutex_lock(&wires->lock);
		arm(wires);
		pthread_mutex_unlock(&wires->lock);
	}
	return 0;
}

void edge_wires_stop(struct edge_wires *wires)
{
	__atomic_store_n(&wires->stopped, 1, __ATOMIC_RELEASE);
	wake(wires);
}

static int allocate(struct wire *w, const struct edge_impairment *set)
{
	w->waiting = calloc((size_t)EDGE_WIRE_PLACES * 2, sizeof(*w->waiting));
	w->slots = calloc(EDGE_WIRE_PLACES + 1, sizeof(*w->slots));
	w->free = calloc(EDGE_WIRE_PLACES, sizeof(*w->free));
	w->buffers = mmap(NULL, buffers_octets(w), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (!w->waiting || !w->slots || !w->free || w->buffers == MAP_FAILED) {
		free(w->waiting);
		free(w->slots);
		free(w->free);
		if (w->buffers != MAP_FAILED)
			munmap(w->buffers, buffers_octets(w));
		return ENOMEM;
	}
	for (uint32_t i = 0; i < EDGE_WIRE_PLACES; i++)
		w->free[i] = EDGE_WIRE_PLACES - 1 - i;
	w->free_slots = EDGE_WIRE_PLACES;
	edge_impair_init(&w->impair, set, w->waiting, w->waiting + EDGE_WIRE_PLACES, EDGE_WIRE_PLACES);
	return 0;
}

int edge_wires_add(struct edge_wires *wires, uint32_t number, int sink, int out, uint32_t frame_octets, int tagged,
		   const struct edge_impairment *set)
{
	struct wire w = {.number = number, .sink = sink, .out = out, .tagged = tagged != 0};
	uint32_t place = 0;
	int error;

	w.stride = (frame_octets + EDGE_TURNOUT_TAG + 63) & ~63u;
	error = allocate(&w, set);
	if (error)
		return error;
	pthread_mutex_lock(&wires->lock);
	while (place < wires->used && wires->at[place].number)
		place++;
	if (find(wires, number))
		error = EEXIST;
	else if (place == EDGE_WIRES)
		error = ENOSPC;
	else
		error = watch(wires, sink, place);
	if (!error) {
		wires->at[place] = w;
		wires->used = place < wires->used ? wires->used : place + 1;
	}
	pthread_mutex_unlock(&wires->lock);
	if (error) {
		free(w.waiting);
		free(w.slots);
		free(w.free);
		munmap(w.buffers, buffers_octets(&w));
	}
	return error;
}

int edge_wires_set(struct edge_wires *wires, uint32_t number, const struct edge_impairment *set)
{
	struct wire *w;

	pthread_mutex_lock(&wires->lock);
	w = find(wires, number);
	if (w)
		w->impair.set = *set;
	pthread_mutex_unlock(&wires->lock);
	return w ? 0 : ENOENT;
}

int edge_wires_read(struct edge_wires *wires, uint32_t number, struct edge_impairment *set,
		    struct edge_wire_counters *counters)
{
	struct ifreq device;
	struct wire *w;
	int error = ENOENT;

	pthread_mutex_lock(&wires->lock);
	w = find(wires, number);
	if (w) {
		*set = w->impair.set;
		counters->impair = edge_impair_count(&w->impair);
		counters->refused = w->refused;
		error = ioctl(w->sink, TUNGETIFF, &device) ? ENODEV : 0;
	}
	pthread_mutex_unlock(&wires->lock);
	return error;
}

int edge_wires_remove(struct edge_wires *wires, uint32_t number)
{
	struct wire *w;

	pthread_mutex_lock(&wires->lock);
	w = find(wires, number);
	if (w) {
		do
			send_due(w, UINT64_MAX);
		while (receive(w) > 0);
		send_due(w, UINT64_MAX);
		epoll_ctl(wires->epoll, EPOLL_CTL_DEL, w->sink, NULL);
		release(w);
	}
	pthread_mutex_unlock(&wires->lock);
	return w ? 0 : ENOENT;
}

/* The engine's inside: its state, and the way of a frame through it. Not for Python.
 *
 *	ringio.c	edge_ring_receive	a port's socket -> frames, each to edge_ring_arrive
 *	ring.c		edge_ring_arrive	marks, rule, police, tags; then edge_ring_leave
 *	ringmark.c	edge_ring_apply_mark	what a policy says of a frame
 *	ringstage.c	edge_ring_leave		marks, queues; what may go now goes to edge_ring_harm
 *			edge_ring_harm		impairment; what goes now goes to edge_ring_send
 *			edge_ring_due		lets go what queues and impairments let go now
 *	ringio.c	edge_ring_send		joins the port's batch; edge_ring_flush hands it to the kernel
 *	ringcontrol.c	edge_ring_obey		one command of the process that started us
 *
 * A frame that is passed on belongs to who gets it. Who drops it calls edge_ring_release.
 */
#ifndef EDGE_RINGENGINE_H
#define EDGE_RINGENGINE_H

#include "ring.h"
#include "ringtables.h"

struct edge_ring_stages; /* marks, queues and impairment of a port: ringstage.c */

struct edge_ring_port {
	uint32_t number;
	int fd; /* -1: the port is not there */
	struct edge_ring_port_stats *stats;
	struct edge_ring_shared_port *shared;
	struct edge_ring_stages *stages; /* 0: frames pass as they are */
	uint32_t waiting;		 /* frames of `batch` */
	uint32_t batch[EDGE_RING_BATCH]; /* to be sent */
	struct edge_ring_port *next;	 /* in the list of ports with a batch */
};

struct edge_ring {
	struct edge_ring_shared *shared;
	int control;
	int epoll;
	uint64_t now_ns; /* CLOCK_MONOTONIC, read once per batch */
	uint8_t *buffers;
	struct edge_ring_frame *frames;
	uint32_t free; /* first of the free frames; EDGE_RING_FRAMES: none */
	uint32_t free_count;
	uint32_t staged; /* ports with stages */
	struct edge_ring_port *stage_ports[EDGE_RING_PORTS];
	struct edge_ring_port *waiting; /* ports with a batch */
	struct edge_ring_port ports[EDGE_RING_PORTS];
};

static inline uint8_t *edge_ring_buffer(struct edge_ring *ring, uint32_t frame)
{
	return ring->buffers + (size_t)frame * EDGE_RING_BUFFER;
}

static inline uint8_t *edge_ring_data(struct edge_ring *ring, uint32_t frame)
{
	return edge_ring_buffer(ring, frame) + ring->frames[frame].offset;
}

/* A free frame with one holder, or EDGE_RING_FRAMES when there is none. */
static inline uint32_t edge_ring_take(struct edge_ring *ring)
{
	uint32_t frame = ring->free;

	if (frame == EDGE_RING_FRAMES)
		return frame;
	ring->free = ring->frames[frame].next;
	ring->free_count--;
	ring->frames[frame].holders = 1;
	return frame;
}

static inline void edge_ring_release(struct edge_ring *ring, uint32_t frame)
{
	if (--ring->frames[frame].holders)
		return;
	ring->frames[frame].next = ring->free;
	ring->free = frame;
	ring->free_count++;
}

void edge_ring_receive(struct edge_ring *ring, struct edge_ring_port *port);
void edge_ring_arrive(struct edge_ring *ring, struct edge_ring_port *port, uint32_t frame);
void edge_ring_leave(struct edge_ring *ring, struct edge_ring_port *port, uint32_t frame);
void edge_ring_harm(struct edge_ring *ring, struct edge_ring_port *port, uint32_t frame);
void edge_ring_send(struct edge_ring *ring, struct edge_ring_port *port, uint32_t frame);
void edge_ring_flush(struct edge_ring *ring);

/* Returns when it wants to be called again (CLOCK_MONOTONIC), UINT64_MAX when nothing waits. */
uint64_t edge_ring_due(struct edge_ring *ring);

/* Marks of what arrives at a port: 0, or 1 when the frame is to be dropped. */
int edge_ring_mark_arriving(struct edge_ring *ring, struct edge_ring_port *port, uint32_t frame);

/* Carry out a command for a stage of a port: 0 or an errno. fd: came along, stays the caller's; -1 without. */
int edge_ring_stage(struct edge_ring *ring, struct edge_ring_port *port, uint32_t op, const uint8_t *body,
		    size_t length, int fd);

/* Free the stages of a port that goes, with the frames they hold. */
void edge_ring_unstage(struct edge_ring *ring, struct edge_ring_port *port);

/* Carry out one command: 0, or -1 when the other side has gone. */
int edge_ring_obey(struct edge_ring *ring);

uint64_t edge_ring_clock(void);

#endif

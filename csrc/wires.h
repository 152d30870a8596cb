/* The bad wires of a process: frames come from a sink, are harmed by impair.h, and leave by the device.
 *
 *	sink (TAP) --read--> tag of the turn-out off --> edge_impair_offer ... edge_impair_take --send--> device
 *
 * One call, edge_wires_run(), serves all wires; the other functions may be called meanwhile, from any thread. What
 * makes the frames come by the sink is impair.bpf.c; the socket they leave by is opened by edge/fastpath/turnout.py.
 *
 * Invariants: a frame is read once into a buffer of its wire and sent from there, as often as it leaves; a buffer is
 * free when no line holds it. Memory of a wire is allocated when it is added: EDGE_WIRE_PLACES buffers. Of a tagged wire,
 * frames without the tag of the turn-out are the sink's own and are dropped, uncounted.
 */
#ifndef EDGE_WIRES_H
#define EDGE_WIRES_H

#include <stddef.h>
#include <stdint.h>

#include "impair.h"

#define EDGE_WIRE_PLACES 16384u /* frames that one wire holds */
#define EDGE_WIRES 1024u	/* wires of a process */

/* cdef begin */
/* What a wire counted. refused: the device did not take the frame (its queue is full, it is down). */
struct edge_wire_counters {
	struct edge_impair_counters impair;
	uint64_t refused;
};

/* Make a sink in the calling thread's namespace: a TAP device that can do no offload, so the kernel hands frames
 * over as a wire carries them. It goes when the descriptor is closed. The descriptor, or -errno. */
int edge_sink_open(const char *name, uint32_t ifindex);

struct edge_wires;

/* Nothing runs yet. NULL when memory or descriptors are out; errno says why. */
struct edge_wires *edge_wires_new(void);

/* Serve all wires until edge_wires_stop(). 0, or an errno. */
int edge_wires_run(struct edge_wires *wires);
void edge_wires_stop(struct edge_wires *wires);

/* Let go of everything, descriptors of wires included. Only when edge_wires_run() has returned, or was never called. */
void edge_wires_free(struct edge_wires *wires);

/* Begin a wire. number: what it is called here, any but 0. sink, out: descriptors that belong to the wire from
 * now on; both non-blocking. frame_octets: the longest frame of the sink. tagged: frames come with the tag of the
 * turn-out (impair.bpf.c). 0, or an errno and the descriptors are still the caller's. */
int edge_wires_add(struct edge_wires *wires, uint32_t number, int sink, int out, uint32_t frame_octets, int tagged,
		   const struct edge_impairment *set);

/* Give it other settings: 0, or ENOENT. Frames that wait leave when they were going to. */
int edge_wires_set(struct edge_wires *wires, uint32_t number, const struct edge_impairment *set);

/* What it does now, and what it did: 0, ENOENT, or ENODEV when its sink has gone: no frame comes any more. */
int edge_wires_read(struct edge_wires *wires, uint32_t number, struct edge_impairment *set,
		    struct edge_wire_counters *counters);

/* End a wire: frames that wait, in the sink too, are sent at once. No more may come to the sink: others wait
 * meanwhile. 0, or ENOENT. */
int edge_wires_remove(struct edge_wires *wires, uint32_t number);
/* cdef end */

#endif

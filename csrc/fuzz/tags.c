/* Tags of frames: the reader never leaves the frame, the two readers agree, and what one puts on the other takes off.
 *
 * Input: a tag in metadata, tags to put on, then the frame.
 */
#include "../frame.h"
#include "../ringframe.h"
#include "fuzz.h"

#define TAGS_MOST 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_it(const uint8_t *frame, uint32_t length, uint16_t tpid, uint16_t tci)
{
	struct edge_frame parsed;
	enum edge_frame_verdict verdict = edge_tags_parse(frame, length, tpid, tci, &parsed);

	MUST(parsed.depth <= EDGE_FRAME_TAGS);
	MUST(verdict != EDGE_FRAME_WHOLE || (parsed.payload >= EDGE_RING_ETHERNET && parsed.payload <= length));
	MUST(!tpid || (parsed.depth && parsed.tpid[0] == tpid && parsed.tci[0] == tci));
}

static void push_and_pop(const uint8_t *frame, uint32_t length, struct input *in)
{
	uint32_t tags = 1 + take8(in) % TAGS_MOST, room = tags * EDGE_RING_TAG;
	uint8_t *buffer = malloc(room + length);
	struct edge_ring_frame held = {0};
	struct edge_ring_stack stack;
	struct edge_frame parsed;

	MUST(buffer);
	memcpy(buffer + room, frame, length);
	held.offset = (uint16_t)room;
	held.length = length;
	held.vnet.flags = take8(in);
	held.vnet.gso_type = take8(in);
	held.vnet.gso_size = take16(in);
	held.vnet.csum_start = take16(in);
	held.vnet.hdr_len = take16(in);
	edge_ring_measure(buffer + held.offset, &held);
	MUST(held.packets >= 1 && held.bytes >= held.length);
	for (uint32_t i = 0; i < tags; i++) {
		uint16_t tpid = i & 1 ? EDGE_ETHERTYPE_DOT1AD : EDGE_ETHERTYPE_DOT1Q, tci = take16(in);

		edge_ring_push(buffer, &held, tpid, tci);
		MUST(held.offset + held.length == room + length);
		edge_ring_read(buffer + held.offset, held.length, &stack);
		MUST(stack.depth >= 1 && stack.tci[0] == tci && stack.key.outer.tpid == tpid);
		MUST(stack.payload <= held.length);
		edge_ring_class(buffer + held.offset, held.length, &stack);
		edge_tags_parse(buffer + held.offset, held.length, 0, 0, &parsed);
		MUST(parsed.depth >= 1 && parsed.tpid[0] == tpid && parsed.tci[0] == tci);
		MUST(stack.depth < 2 || (parsed.depth >= 2 && parsed.tci[1] == stack.tci[1]));
	}
	edge_ring_pop(buffer, &held, tags);
	MUST(held.offset == room && held.length == length && !memcmp(buffer + room, frame, length));
	edge_ring_read(buffer + held.offset, held.length, &stack);
	edge_ring_class(buffer + held.offset, held.length, &stack);
	free(buffer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint16_t tpid = take16(&in), tci = take16(&in);
	uint8_t words[32];
	struct input settings = {words, sizeof(words)};
	uint32_t length;
	uint8_t *frame;

	take(&in, words, sizeof(words));
	length = (uint32_t)(in.left < 4096 ? in.left : 4096);
	frame = copy_of(in.at, length);
	read_it(frame, length, tpid, tci);
	if (length >= EDGE_RING_ETHERNET)
		push_and_pop(frame, length, &settings);
	free(frame);
	return 0;
}

#include "frame.h"

#include <string.h>

#include "tags.h"

#define ETHERTYPE_AT 12

static inline uint16_t load16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

enum edge_frame_verdict edge_tags_parse(const uint8_t *frame, size_t length, uint16_t aux_tpid,
					uint16_t aux_tci, struct edge_frame *out)
{
	size_t at = ETHERTYPE_AT;

	memset(out, 0, sizeof(*out));
	if (aux_tpid) {
		out->tpid[0] = aux_tpid;
		out->tci[0] = aux_tci;
		out->depth = 1;
	}
	for (;;) {
		uint16_t ethertype;

		out->payload = (uint32_t)at;
		if (length < at + 2)
			return EDGE_FRAME_TRUNCATED;
		ethertype = load16(frame + at);
		if (ethertype != EDGE_ETHERTYPE_DOT1Q && ethertype != EDGE_ETHERTYPE_DOT1AD) {
			out->ethertype = ethertype;
			out->payload = (uint32_t)at + 2;
			return EDGE_FRAME_WHOLE;
		}
		if (out->depth == EDGE_FRAME_TAGS) {
			out->ethertype = ethertype;
			return EDGE_FRAME_TOO_DEEP;
		}
		if (length < at + 4)
			return EDGE_FRAME_TRUNCATED;
		out->tpid[out->depth] = ethertype;
		out->tci[out->depth] = load16(frame + at + 2);
		out->depth++;
		at += 4;
	}
}

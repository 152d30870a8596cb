/* Tables that nobody compiled: whatever they hold, no lane reads outside of them, or writes but into packets. Tables
 * that edge_policy_check refuses are only for the scalar lane, which masks every offset as the kernel's program does.
 *
 * Input: which policy to begin with, changes to it (count; then place, length, octets each), then a packet.
 * A table lies in memory of exactly its size, aligned to 8 and not more.
 */
#include "tables.h"

#define PATCHES_MOST 16
#define BATCH 17 /* more than any lane judges together */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	load_tables();
	return 0;
}

/* Where the head says that something begins is worth changing more often than the octets that nobody reads. */
static uint32_t place(struct input *in, const struct edge_policy *table)
{
	uint32_t where = take32(in);

	if (where & 0x80000000u)
		return where % sizeof(struct edge_policy_head);
	return where % (table->head.octets && table->head.octets <= EDGE_POLICY_SIZE ? table->head.octets : EDGE_POLICY_SIZE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct {
		uint32_t at;
		uint32_t length;
		uint8_t before[256];
	} undo[PATCHES_MOST];
	struct edge_verdict verdicts[BATCH];
	uint64_t offsets[BATCH];
	uint32_t lengths[BATCH];
	struct input in = {data, size};
	struct edge_policy *table = tables[take8(&in) % table_count];
	uint32_t patches = take8(&in) % (PATCHES_MOST + 1);
	uint8_t *packet;
	uint32_t length;

	for (uint32_t i = 0; i < patches; i++) {
		undo[i].at = place(&in, table);
		undo[i].length = take8(&in);
		if (undo[i].length > EDGE_POLICY_SIZE - undo[i].at)
			undo[i].length = EDGE_POLICY_SIZE - undo[i].at;
		memcpy(undo[i].before, (uint8_t *)table + undo[i].at, undo[i].length);
		take(&in, (uint8_t *)table + undo[i].at, undo[i].length);
	}
	length = (uint32_t)(in.left < 2048 ? in.left : 2048);
	packet = copy_of(in.at, length);
	for (uint32_t i = 0; i < BATCH; i++) {
		offsets[i] = 0;
		lengths[i] = length;
	}
	for (int lane = EDGE_LANE_LINEAR; lane <= EDGE_LANE_AVX2; lane++) {
		if (!edge_lane_available(lane) || (lane != EDGE_LANE_SCALAR && edge_policy_check(table)))
			continue;
		edge_classify_batch(table, packet, offsets, lengths, BATCH, verdicts, lane);
		edge_mark_batch(table, packet, offsets, lengths, 1, verdicts, NULL, lane);
	}
	free(packet);
	while (patches--)
		memcpy((uint8_t *)table + undo[patches].at, undo[patches].before, undo[patches].length);
	return 0;
}

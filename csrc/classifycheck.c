/* All lanes over a file of packets, each in memory of exactly its size: for builds with -fsanitize=address,undefined.
 *
 *	classifycheck TABLE PACKETS
 *
 * TABLE is what edge.qos.table.compile_policy gives. PACKETS is a sequence of {u32 length, octets}, in the byte order of the
 * machine. Prints how many packets were judged; the exit code is 1 when lanes disagree, 2 when a file is unreadable.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lanes.h"

#define COPIES 9 /* one group of the AVX2 lane, and one packet more */

struct result {
	struct edge_verdict verdicts[COPIES];
	uint8_t *octets;
};

/* Judge copies of the packet, then mark it alone. */
static int run(const struct edge_policy *policy, const uint8_t *packet, uint32_t length, int lane, struct result *out)
{
	struct edge_count *counts = calloc((size_t)policy->head.rules + 1, sizeof(*counts));
	uint64_t offsets[COPIES] = {0};
	uint32_t lengths[COPIES];
	int bad;

	out->octets = malloc(length);
	if (!counts || (length && !out->octets))
		exit(2);
	if (length)
		memcpy(out->octets, packet, length);
	for (int i = 0; i < COPIES; i++)
		lengths[i] = length;
	memset(out->verdicts, 0, sizeof(out->verdicts));
	bad = edge_classify_batch(policy, out->octets, offsets, lengths, COPIES, out->verdicts, lane) != 0;
	bad |= edge_mark_batch(policy, out->octets, offsets, lengths, 1, NULL, counts, lane) < 0;
	free(counts);
	return bad;
}

static struct edge_policy *read_table(const char *path)
{
	struct edge_policy *policy = calloc(1, sizeof(*policy));
	FILE *file = fopen(path, "rb");

	if (!file || !policy || !fread(policy, 1, sizeof(*policy), file) || edge_policy_check(policy) != 0)
		exit(2);
	fclose(file);
	return policy;
}

int main(int argc, char **argv)
{
	struct edge_policy *policy;
	unsigned long packets = 0, differences = 0;
	uint32_t length;
	FILE *file;

	if (argc != 3)
		return 2;
	policy = read_table(argv[1]);
	file = fopen(argv[2], "rb");
	if (!file)
		return 2;
	while (fread(&length, sizeof(length), 1, file) == 1) {
		uint8_t *packet = malloc((size_t)length + 1);
		struct result reference, other;

		if (!packet || fread(packet, 1, length, file) != length)
			return 2;
		if (run(policy, packet, length, EDGE_LANE_LINEAR, &reference))
			return 2;
		for (int lane = EDGE_LANE_SCALAR; lane <= EDGE_LANE_AVX2; lane++) {
			if (!edge_lane_available(lane))
				continue;
			if (run(policy, packet, length, lane, &other))
				return 2;
			differences += memcmp(reference.verdicts, other.verdicts, sizeof(other.verdicts)) != 0 ||
				       (length && memcmp(reference.octets, other.octets, length) != 0);
			free(other.octets);
		}
		free(reference.octets);
		free(packet);
		packets++;
	}
	fclose(file);
	free(policy);
	printf("%lu packets, %lu differences\n", packets, differences);
	return differences != 0;
}

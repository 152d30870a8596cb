/* The two ends of the forwarding bench: packets made in place at a router's port, and a counter behind it.
 *
 * `generate` is an XDP program for BPF_PROG_TEST_RUN with BPF_F_TEST_XDP_LIVE_FRAMES: it writes one of the templates
 * over the frame and lets it pass, as if the port had received it (facts: fastpath 2). `receive` counts frames per
 * DSCP at tc and drops them. Section names are what csrc/generate.py looks for.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define TEMPLATES 256
#define OCTETS 64

struct edge_map {
	__u32 type;
	__u32 key_size;
	__u32 value_size;
	__u32 max_entries;
};

struct template {
	__u64 words[OCTETS / 8];
};

struct edge_map SEC("maps") templates = {
	BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(struct template), TEMPLATES,
};
struct edge_map SEC("maps") cursor = {
	BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(__u32), sizeof(__u64), 1,
};
struct edge_map SEC("maps") received = {
	BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(__u32), sizeof(__u64), 64,
};

SEC("tc/generate")
int generate(struct xdp_md *ctx)
{
	__u64 *frame = (__u64 *)(long)ctx->data;
	struct template *from;
	__u32 number, zero = 0;
	__u64 *next = bpf_map_lookup_elem(&cursor, &zero);

	if (!next || (void *)frame + OCTETS > (void *)(long)ctx->data_end)
		return XDP_DROP;
	number = (__u32)(*next)++ % TEMPLATES;
	from = bpf_map_lookup_elem(&templates, &number);
	if (!from)
		return XDP_DROP;
#pragma unroll
	for (int i = 0; i < OCTETS / 8; i++)
		frame[i] = from->words[i];
	return XDP_PASS;
}

SEC("tc/receive")
int receive(struct __sk_buff *skb)
{
	__u64 *count;
	__u32 dscp;
	__u8 tos;

	if (skb->protocol != bpf_htons(0x0800) || bpf_skb_load_bytes(skb, 15, &tos, 1))
		return TC_ACT_SHOT;
	dscp = tos >> 2;
	count = bpf_map_lookup_elem(&received, &dscp);
	if (count)
		(*count)++;
	return TC_ACT_SHOT;
}

char _license[] SEC("license") = "Dual BSD/GPL";

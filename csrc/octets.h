/* Numbers in memory, for user space and for BPF: loads that need no alignment, the byte order of the wire, and what keeps
 * the compiler and the verifier from making more of a value than is good. No libc.
 */
#ifndef EDGE_OCTETS_H
#define EDGE_OCTETS_H

#ifdef __bpf__ /* clang finds no libc for this target */
#include <linux/types.h>
typedef __u8 uint8_t;
typedef __u16 uint16_t;
typedef __u32 uint32_t;
typedef __u64 uint64_t;
#else
#include <stdint.h>
#endif

/* Keeps the compiler from turning arithmetic back into a branch. */
#define EDGE_PLAIN(value) __asm__ volatile("" : "+r"(value))

/* What is usual lies together then, and takes fewer lines of cache. */
#define EDGE_LIKELY(x) __builtin_expect(!!(x), 1)
#define EDGE_UNLIKELY(x) __builtin_expect(!!(x), 0)

#define EDGE_INLINE static inline __attribute__((always_inline))

#ifdef __bpf__
/* Stored and loaded again, after which the verifier knows nothing about the value but its width. */
#define EDGE_OPAQUE(lvalue) __asm__ volatile("" : "+m"(lvalue))
#define EDGE_SHORT(p, n, end) ((p) + (n) > (end))
#define EDGE_LD16(p) (*(const uint16_t *)(p))
#define EDGE_LD32(p) (*(const uint32_t *)(p))
#define EDGE_LD64(p) (*(const uint64_t *)(p))
#define EDGE_ST16(p, v) (*(uint16_t *)(p) = (v))
#else
#define EDGE_OPAQUE(lvalue)
#define EDGE_SHORT(p, n, end) ((end) - (p) < (int64_t)(n))
EDGE_INLINE uint16_t edge_ld16(const uint8_t *p)
{
	uint16_t value;

	__builtin_memcpy(&value, p, sizeof(value));
	return value;
}
EDGE_INLINE uint32_t edge_ld32(const uint8_t *p)
{
	uint32_t value;

	__builtin_memcpy(&value, p, sizeof(value));
	return value;
}
EDGE_INLINE uint64_t edge_ld64(const uint8_t *p)
{
	uint64_t value;

	__builtin_memcpy(&value, p, sizeof(value));
	return value;
}
EDGE_INLINE void edge_st16(uint8_t *p, uint16_t value)
{
	__builtin_memcpy(p, &value, sizeof(value));
}
#define EDGE_LD16(p) edge_ld16(p)
#define EDGE_LD32(p) edge_ld32(p)
#define EDGE_LD64(p) edge_ld64(p)
#define EDGE_ST16(p, v) edge_st16(p, v)
#endif

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define EDGE_NET16(x) __builtin_bswap16(x)
#define EDGE_NET32(x) __builtin_bswap32(x)
#define EDGE_NET64(x) __builtin_bswap64(x)
#else
#define EDGE_NET16(x) (x)
#define EDGE_NET32(x) (x)
#define EDGE_NET64(x) (x)
#endif

#endif

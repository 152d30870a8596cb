#define _GNU_SOURCE
#include <errno.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>

#include "ringengine.h"
#include "ringframe.h"

#define ROOM (EDGE_RING_BUFFER - EDGE_RING_HEADROOM)
#define CONTROL_ROOM CMSG_SPACE(sizeof(struct tpacket_auxdata))

/* The outermost tag of a received frame, which the kernel took out, back into its place. */
static void restore_tag(struct edge_ring *ring, uint32_t number, struct msghdr *message)
{
	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
		struct tpacket_auxdata aux;

		if (part->cmsg_level != SOL_PACKET || part->cmsg_type != PACKET_AUXDATA)
			continue;
		memcpy(&aux, CMSG_DATA(part), sizeof(aux));
		if (!(aux.tp_status & TP_STATUS_VLAN_VALID))
			continue;
		edge_ring_push(edge_ring_buffer(ring, number), &ring->frames[number],
			       aux.tp_status & TP_STATUS_VLAN_TPID_VALID ? aux.tp_vlan_tpid : EDGE_ETHERTYPE_DOT1Q,
			       aux.tp_vlan_tci);
	}
}

void edge_ring_receive(struct edge_ring *ring, struct edge_ring_port *port)
{
	struct mmsghdr messages[EDGE_RING_BATCH];
	struct iovec parts[EDGE_RING_BATCH][2];
	_Alignas(struct cmsghdr) uint8_t control[EDGE_RING_BATCH][CONTROL_ROOM];
	uint32_t numbers[EDGE_RING_BATCH], count;
	int received;

	if (port->fd < 0)
		return;
	for (count = 0; count < EDGE_RING_BATCH; count++) {
		uint32_t number = edge_ring_take(ring);

		if (number == EDGE_RING_FRAMES)
			break;
		numbers[count] = number;
		parts[count][0] = (struct iovec){&ring->frames[number].vnet, sizeof(struct virtio_net_hdr)};
		parts[count][1] = (struct iovec){edge_ring_buffer(ring, number) + EDGE_RING_HEADROOM, ROOM};
		messages[count].msg_hdr = (struct msghdr){.msg_iov = parts[count],
							  .msg_iovlen = 2,
							  .msg_control = control[count],
							  .msg_controllen = CONTROL_ROOM};
	}
	received = recvmmsg(port->fd, messages, count, MSG_DONTWAIT, 0);
	if (received < 0) {
		/* The device went down or away, or the frame is of a kind that has no virtio_net_hdr. */
		port->stats->unread += errno == EINVAL;
		received = 0;
	}
	for (uint32_t i = count; i-- > (uint32_t)received;)
		edge_ring_release(ring, numbers[i]);
	for (uint32_t i = 0; i < (uint32_t)received; i++) {
		struct edge_ring_frame *frame = &ring->frames[numbers[i]];
		uint32_t octets = messages[i].msg_len;

		port->stats->received++;
		if (octets < sizeof(struct virtio_net_hdr) + EDGE_RING_ETHERNET ||
		    messages[i].msg_hdr.msg_flags & MSG_TRUNC) {
			port->stats->unread++;
			edge_ring_release(ring, numbers[i]);
			continue;
		}
		frame->offset = EDGE_RING_HEADROOM;
		frame->length = octets - (uint32_t)sizeof(struct virtio_net_hdr);
		/* The kernel checked it for us, which says nothing to the next receiver. */
		frame->vnet.flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
		restore_tag(ring, numbers[i], &messages[i].msg_hdr);
		edge_ring_arrive(ring, port, numbers[i]);
	}
}

static void flush(struct edge_ring *ring, struct edge_ring_port *port)
{
	struct mmsghdr messages[EDGE_RING_BATCH];
	struct iovec parts[EDGE_RING_BATCH][2];
	uint32_t done = 0;

	for (uint32_t i = 0; i < port->waiting; i++) {
		struct edge_ring_frame *frame = &ring->frames[port->batch[i]];

		parts[i][0] = (struct iovec){&frame->vnet, sizeof(struct virtio_net_hdr)};
		parts[i][1] = (struct iovec){edge_ring_data(ring, port->batch[i]), frame->length};
		messages[i].msg_hdr = (struct msghdr){.msg_iov = parts[i], .msg_iovlen = 2};
	}
	while (done < port->waiting) {
		int sent = sendmmsg(port->fd, messages + done, port->waiting - done, MSG_DONTWAIT);

		if (sent > 0) {
			port->stats->sent += (uint32_t)sent;
			done += (uint32_t)sent;
		} else if (sent == 0 || errno != EINTR) {
			/* That one cannot go; the others may. */
			port->stats->unsent++;
			done++;
		}
	}
	for (uint32_t i = 0; i < port->waiting; i++)
		edge_ring_release(ring, port->batch[i]);
	port->waiting = 0;
}

void edge_ring_send(struct edge_ring *ring, struct edge_ring_port *port, uint32_t number)
{
	if (port->fd < 0) {
		port->stats->unsent++;
		edge_ring_release(ring, number);
		return;
	}
	if (!port->waiting) {
		port->next = ring->waiting;
		ring->waiting = port;
	}
	port->batch[port->waiting++] = number;
	if (port->waiting == EDGE_RING_BATCH)
		edge_ring_flush(ring);
}

void edge_ring_flush(struct edge_ring *ring)
{
	while (ring->waiting) {
		struct edge_ring_port *port = ring->waiting;

		ring->waiting = port->next;
		flush(ring, port);
	}
}

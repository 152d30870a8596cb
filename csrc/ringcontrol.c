#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ringengine.h"

#define BODY_MAX 4096

/* Take over a socket that came along. */
static int plug(struct edge_ring *ring, struct edge_ring_port *port, int *fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data = {.u32 = port->number}};

	if (*fd < 0)
		return EBADF;
	if (epoll_ctl(ring->epoll, EPOLL_CTL_ADD, *fd, &event))
		return errno;
	port->fd = *fd;
	*fd = -1;
	return 0;
}

static void let_go(struct edge_ring *ring, struct edge_ring_port *port)
{
	/* By hand: the process that started us has the same socket, so that closing ours would not do it. */
	epoll_ctl(ring->epoll, EPOLL_CTL_DEL, port->fd, 0);
	close(port->fd);
	port->fd = -1;
}

static int add_port(struct edge_ring *ring, struct edge_ring_port *port, int *fd)
{
	int refused = port->fd >= 0 ? EEXIST : plug(ring, port, fd);

	if (refused)
		return refused;
	memset(port->shared, 0, sizeof(*port->shared));
	port->shared->used = 1;
	return 0;
}

static int renew_port(struct edge_ring *ring, struct edge_ring_port *port, int *fd)
{
	struct edge_ring_port old = *port;
	int refused = plug(ring, port, fd);

	if (!refused)
		let_go(ring, &old);
	return refused;
}

static int remove_port(struct edge_ring *ring, struct edge_ring_port *port)
{
	edge_ring_unstage(ring, port);
	let_go(ring, port);
	for (uint32_t i = 0; i < EDGE_RING_UNKNOWN; i++)
		if (ring->shared->unknown[i].key.ifindex == port->number)
			memset(&ring->shared->unknown[i], 0, sizeof(ring->shared->unknown[i]));
	memset(port->shared, 0, sizeof(*port->shared));
	return 0;
}

static int put_rule(struct edge_ring *ring, const uint8_t *body, size_t length, int change)
{
	struct edge_ring_rule wanted = {0}, *place;

	if (length != sizeof(wanted.key) + sizeof(wanted.rule))
		return EINVAL;
	memcpy(&wanted.key, body, sizeof(wanted.key));
	memcpy(&wanted.rule, body + sizeof(wanted.key), sizeof(wanted.rule));
	if (!wanted.key.ifindex || wanted.key.ifindex >= EDGE_RING_PORTS || wanted.rule.ifindex >= EDGE_RING_PORTS ||
	    wanted.rule.slot >= EDGE_RING_SLOTS || wanted.rule.bucket >= EDGE_RING_SLOTS || wanted.rule.pop > EDGE_STACK_MAX ||
	    wanted.rule.push > EDGE_STACK_MAX || wanted.rule.action == EDGE_TO_DEVICE)
		return EINVAL;
	if (!ring->shared->ports[wanted.key.ifindex].used || !ring->shared->ports[wanted.rule.ifindex].used)
		return ENODEV;
	/* What is taken off must be there, or octets of the packet would go. */
	if (wanted.rule.pop > (wanted.key.outer.tpid != 0) + (uint32_t)(wanted.key.inner.tpid != 0))
		return EINVAL;
	place = edge_ring_find(ring->shared->rules, &wanted.key);
	if (change != (place->key.ifindex != 0))
		return change ? ENOENT : EEXIST;
	if (!change && ring->shared->rules_used == EDGE_RING_RULES_MAX)
		return ENOSPC;
	ring->shared->rules_used += !change;
	*place = wanted;
	return 0;
}

static int delete_rule(struct edge_ring *ring, const uint8_t *body, size_t length)
{
	struct edge_ring_rule *place;
	struct edge_rule_key key;

	if (length != sizeof(key))
		return EINVAL;
	memcpy(&key, body, sizeof(key));
	place = edge_ring_find(ring->shared->rules, &key);
	if (!key.ifindex || !place->key.ifindex)
		return ENOENT;
	edge_ring_vacate(ring->shared->rules, place);
	ring->shared->rules_used--;
	return 0;
}

static int put_subinterface(struct edge_ring *ring, struct edge_ring_port *port, const uint8_t *body, size_t length)
{
	struct edge_subinterface entry;

	if (length != sizeof(entry))
		return EINVAL;
	memcpy(&entry, body, sizeof(entry));
	if (!entry.port || entry.port >= EDGE_RING_PORTS || entry.slot >= EDGE_RING_SLOTS ||
	    entry.push > EDGE_STACK_MAX)
		return EINVAL;
	if (!ring->shared->ports[entry.port].used)
		return ENODEV;
	port->shared->entry = entry;
	port->shared->subinterface = 1;
	return 0;
}

static int clear_slot(struct edge_ring *ring, uint32_t slot)
{
	if (slot >= EDGE_RING_SLOTS)
		return EINVAL;
	memset(&ring->shared->slots[slot], 0, sizeof(ring->shared->slots[slot]));
	return 0;
}

static int carry_out(struct edge_ring *ring, const struct edge_ring_command *head, const uint8_t *body, size_t length,
		     int *fd)
{
	struct edge_ring_port *port = &ring->ports[head->port & (EDGE_RING_PORTS - 1)];

	switch (head->op) {
	case EDGE_RING_RULE_PUT:
	case EDGE_RING_RULE_CHANGE:
		return put_rule(ring, body, length, head->op == EDGE_RING_RULE_CHANGE);
	case EDGE_RING_RULE_DELETE:
		return delete_rule(ring, body, length);
	case EDGE_RING_SLOT_CLEAR:
		return clear_slot(ring, head->port);
	default:
		break;
	}
	if (!head->port || head->port >= EDGE_RING_PORTS)
		return EINVAL;
	if (head->op == EDGE_RING_PORT_ADD)
		return add_port(ring, port, fd);
	if (port->fd < 0)
		return ENODEV;
	switch (head->op) {
	case EDGE_RING_PORT_RENEW:
		return renew_port(ring, port, fd);
	case EDGE_RING_PORT_REMOVE:
		return remove_port(ring, port);
	case EDGE_RING_SUBINTERFACE_PUT:
		return put_subinterface(ring, port, body, length);
	case EDGE_RING_SUBINTERFACE_DELETE:
		port->shared->subinterface = 0;
		return 0;
	default:
		return edge_ring_stage(ring, port, head->op, body, length, *fd);
	}
}

static int descriptor_of(struct msghdr *message)
{
	int fd = -1;

	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part))
		if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS)
			memcpy(&fd, CMSG_DATA(part), sizeof(fd));
	return fd;
}

int edge_ring_obey(struct edge_ring *ring)
{
	struct edge_ring_command head;
	uint8_t body[BODY_MAX];
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int))];
	struct iovec parts[2] = {{&head, sizeof(head)}, {body, sizeof(body)}};
	struct msghdr message = {
		.msg_iov = parts, .msg_iovlen = 2, .msg_control = control, .msg_controllen = sizeof(control)};
	ssize_t length = recvmsg(ring->control, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int32_t answer = EINVAL;
	int fd;

	if (length < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	if (!length)
		return -1;
	fd = descriptor_of(&message);
	if ((size_t)length >= sizeof(head) && !(message.msg_flags & MSG_TRUNC))
		answer = carry_out(ring, &head, body, (size_t)length - sizeof(head), &fd);
	if (fd >= 0)
		close(fd);
	return send(ring->control, &answer, sizeof(answer), MSG_NOSIGNAL) == sizeof(answer) ? 0 : -1;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/apart_protocol.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int vs_apart_send(int fd, const struct vs_apart_message *m, int with_fd, int flags)
{
	struct iovec iov = { (void *)m, offsetof(struct vs_apart_message, text) + m->text_n };
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (with_fd >= 0) {
		struct cmsghdr *c;

		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &with_fd, sizeof(int));
	}
	do
		n = sendmsg(fd, &msg, MSG_NOSIGNAL | flags);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int vs_apart_receive(int fd, struct vs_apart_message *ret, int *ret_fd, int flags)
{
	struct iovec iov = { ret, sizeof(*ret) };
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = ret_fd ? control : NULL,
			      .msg_controllen = ret_fd ? sizeof(control) : 0 };
	struct cmsghdr *c;
	ssize_t n;

	do
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | flags);
	while (n < 0 && errno == EINTR);
	if (ret_fd)
		*ret_fd = -1;
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	c = ret_fd ? CMSG_FIRSTHDR(&msg) : NULL;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
	if (n == 0)
		return -EPIPE;
	if ((size_t)n < offsetof(struct vs_apart_message, text) || (msg.msg_flags & MSG_TRUNC) ||
	    (size_t)n != offsetof(struct vs_apart_message, text) + ret->text_n) {
		if (ret_fd && *ret_fd >= 0) {
			(void)close(*ret_fd);
			*ret_fd = -1;
		}
		return -EBADMSG;
	}
	return 0;
}

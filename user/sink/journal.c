/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sink/journal.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "sink/journal_text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

/* What one datagram may hold. The default allows some 200 KiB; libsystemd asks
 * for as much. */
#define SEND_BUFFER (8 << 20)

struct waiting {
	struct waiting *next;
	size_t len;
	char text[];
};

struct vs_sink {
	struct vs_loop *loop; /* NULL in tests: ticks only */
	int fd;
	bool connected;
	struct sockaddr_un to;
	struct vs_journal_text message;
	struct waiting *first, **last;
	size_t waiting_bytes;
	uint64_t waiting_n;
	uint64_t lost; /* of those that waited, not asked for yet */
};

int vs_journal_open(struct vs_loop *loop, const char *path, struct vs_sink **ret)
{
	struct vs_sink *s = calloc(1, sizeof(*s));
	const int size = SEND_BUFFER;

	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->last = &s->first;
	s->to.sun_family = AF_UNIX;
	(void)snprintf(s->to.sun_path, sizeof(s->to.sun_path), "%s", path);
	s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0) {
		int r = vs_fail(errno, "make a socket for the journal: %s", strerror(errno));

		free(s);
		return r;
	}
	(void)setsockopt(s->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	*ret = s;
	return 0;
}

/* @fd: sent along; or -1, and the text is sent */
static int send_one(struct vs_sink *s, const char *text, size_t len, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { (void *)text, len };
	struct msghdr msg = { 0 };
	struct cmsghdr *cm;

	if (fd >= 0) {
		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		cm = CMSG_FIRSTHDR(&msg);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &fd, sizeof(int));
	} else {
		msg.msg_iov = &iov;
		msg.msg_iovlen = 1;
	}
	return sendmsg(s->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* What is too long for a datagram goes as a sealed file in memory. */
static int send_file(struct vs_sink *s, const char *text, size_t len)
{
	vs_autoclose int fd = memfd_create("virtscope-event", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != (ssize_t)len)
		return -ENOSPC;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE))
		return -errno;
	return send_one(s, text, len, fd);
}

/* Connected, so that epoll knows when journald has read; and anew when the one that
 * it was connected to has gone. */
static int deliver(struct vs_sink *s, const char *text, size_t len)
{
	bool fresh = !s->connected;
	int r;

	if (fresh && connect(s->fd, (struct sockaddr *)&s->to, sizeof(s->to)))
		return -errno;
	s->connected = true;
	r = send_one(s, text, len, -1);
	if (r == -EMSGSIZE || r == -ENOBUFS)
		r = send_file(s, text, len);
	if (!r || r == -EAGAIN)
		return r;
	s->connected = false;
	return fresh ? r : deliver(s, text, len);
}

static void on_writable(void *data, int fd);

static void pop(struct vs_sink *s)
{
	struct waiting *w = s->first;

	s->first = w->next;
	s->waiting_bytes -= w->len;
	s->waiting_n--;
	free(w);
	if (s->first)
		return;
	s->last = &s->first;
	if (s->loop)
		vs_loop_remove(s->loop, s->fd);
}

static int push(struct vs_sink *s, const char *text, size_t len)
{
	struct waiting *w = s->waiting_bytes + len > VS_JOURNAL_WAITING_BYTES ?
				    NULL :
				    malloc(sizeof(*w) + len);

	if (!w)
		return -EAGAIN;
	*w = (struct waiting){ .len = len };
	memcpy(w->text, text, len);
	if (!s->first && s->loop && !vs_loop_add(s->loop, s->fd, on_writable, s))
		vs_loop_want_write(s->loop, s->fd, true);
	*s->last = w;
	s->last = &w->next;
	s->waiting_bytes += len;
	s->waiting_n++;
	return 0;
}

static void give_up(struct vs_sink *s)
{
	s->lost += s->waiting_n;
	while (s->first)
		pop(s);
}

static void flush(struct vs_sink *s)
{
	int r = 0;

	while (s->first && !r) {
		r = deliver(s, s->first->text, s->first->len);
		if (!r)
			pop(s);
	}
	if (r && r != -EAGAIN)
		give_up(s);
}

static void on_writable(void *data, int fd)
{
	(void)fd;
	flush(data);
}

static int journal_emit(struct vs_sink *s, const struct vs_sink_event *event)
{
	int r = vs_journal_text_make(&s->message, event);

	if (r)
		return r;
	flush(s);
	r = s->first ? -EAGAIN : deliver(s, s->message.text, s->message.len);
	return r == -EAGAIN ? push(s, s->message.text, s->message.len) : r;
}

static uint64_t journal_lost(struct vs_sink *s, bool at_end)
{
	uint64_t n;

	flush(s);
	if (at_end)
		give_up(s);
	n = s->lost;
	s->lost = 0;
	return n;
}

static void journal_close(struct vs_sink **sink)
{
	struct vs_sink *s = *sink;

	if (!s)
		return;
	give_up(s);
	(void)close(s->fd);
	vs_journal_text_done(&s->message);
	free(s);
	*sink = NULL;
}

const struct vs_sink_ops vs_sink_journal = {
	.emit = journal_emit,
	.lost_later = journal_lost,
	.close = journal_close,
};

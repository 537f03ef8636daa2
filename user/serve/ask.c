/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serve/ask.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "serve/client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* Return: a descriptor, -ENOENT when no daemon listens, or -errno, logged. */
static int dial(const char *path)
{
	vs_autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr;

	if (fd < 0)
		return vs_fail(errno, "make a socket: %s", strerror(errno));
	if (vs_control_address(path, &addr))
		return -ENOENT; /* no daemon can listen there either */
	if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return vs_take_fd(fd);
	if (errno == EACCES)
		return vs_fail(EACCES,
			       "connect to the daemon at '%s': %s (be root, or of the group virtscope)",
			       path, strerror(errno));
	return -ENOENT;
}

static int request(int fd, const char *path, const char *line, size_t len)
{
	if (send(fd, line, len, MSG_NOSIGNAL) == (ssize_t)len)
		return 0;
	return vs_fail(errno ? errno : EPIPE, "ask the daemon at '%s': %s", path, strerror(errno));
}

static json_t *read_report(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	void *text;
	json_t *j;

	if (size <= 0)
		return NULL;
	text = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (text == MAP_FAILED)
		return NULL;
	j = json_loadb(text, (size_t)size, 0, NULL);
	(void)munmap(text, (size_t)size);
	return j;
}

/* Return: 1 with *ret_fd when the report came, 0 for a "ready", or -errno. */
static int receive(int fd, int *ret_fd)
{
	char word[64] = "", buf[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { word, sizeof(word) - 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = buf,
			      .msg_controllen = sizeof(buf) };
	ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	struct cmsghdr *cm;

	if (n < 0)
		return -errno;
	if (n == 0)
		return -ECONNRESET;
	cm = CMSG_FIRSTHDR(&msg);
	if (!cm || cm->cmsg_type != SCM_RIGHTS)
		return 0;
	memcpy(ret_fd, CMSG_DATA(cm), sizeof(int));
	return 1;
}

int vs_ask_report(const char *path, double duration_s, bool deep, void (*ready)(void), int stop_fd,
		  json_t **ret)
{
	vs_autoclose int fd = dial(path);
	vs_autoclose int report = -1;
	char line[128];
	int n, r;

	if (fd < 0)
		return fd;
	n = snprintf(line, sizeof(line), "{\"request\":\"report\",\"duration\":%.6f,\"deep\":%s}\n",
		     duration_s, deep ? "true" : "false");
	r = request(fd, path, line, (size_t)n);
	if (r)
		return r;
	for (;;) {
		struct pollfd p[2] = { { .fd = fd, .events = POLLIN },
				       { .fd = stop_fd, .events = POLLIN } };

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return -errno;
		if (p[1].revents & POLLIN) {
			stop_fd = -1;
			(void)!send(fd, "stop\n", 5, MSG_NOSIGNAL);
		}
		if (!(p[0].revents & (POLLIN | POLLHUP)))
			continue;
		r = receive(fd, &report);
		if (r < 0)
			return vs_fail(r, "wait for the daemon's report: %s (did it end, or was the "
					  "request refused?)",
				       strerror(-r));
		if (ready)
			ready();
		ready = NULL;
		if (r == 1)
			break;
	}
	*ret = read_report(report);
	return *ret ? 0 : vs_fail(EBADMSG, "read the daemon's report: it is not JSON");
}

static int send_ask(int fd, const char *path, const struct vs_ask_events *ask)
{
	vs_autofree char *text = NULL;
	json_t *j = json_pack("{s:s,s:b,s:I,s:s*,s:s*}", "request", "events", "follow", ask->follow,
			      "since_seq", (json_int_t)ask->since_seq, "vm", ask->vm, "type",
			      ask->type);
	size_t len;

	if (j && ask->last)
		(void)json_object_set_new(j, "last", json_integer(ask->last));
	text = j ? json_dumps(j, JSON_COMPACT) : NULL;
	json_decref(j);
	if (!text)
		return vs_fail(EINVAL, "ask for events: a name that is not UTF-8");
	len = strlen(text);
	text[len++] = '\n'; /* in place of the NUL */
	return request(fd, path, text, len);
}

struct reader {
	char *text; /* of @size bytes, @n of them read */
	size_t n, size;
	int (*line)(void *data, const char *text, size_t len, const json_t *event);
	void *data;
};

static int take_line(const struct reader *r, const char *text, size_t len)
{
	json_t *j = json_loadb(text, len, 0, NULL);
	const char *error = json_string_value(json_object_get(j, "error"));
	int ret;

	if (!j)
		ret = vs_fail(EBADMSG, "read the daemon's events: a line is not JSON");
	else if (error)
		ret = vs_fail(EPROTO, "the daemon refused: %s", error);
	else
		ret = r->line(r->data, text, len, j);
	json_decref(j);
	return ret;
}

/* Hands on what is complete. Return: 0, or what ends the wait. */
static int take_lines(struct reader *r)
{
	char *begin = r->text, *end;
	int ret = 0;

	while (!ret && (end = memchr(begin, '\n', r->n - (size_t)(begin - r->text)))) {
		ret = take_line(r, begin, (size_t)(end - begin));
		begin = end + 1;
	}
	r->n -= (size_t)(begin - r->text);
	memmove(r->text, begin, r->n);
	return ret;
}

/* Return: bytes read, 0 at the end, or -errno. */
static ssize_t read_more(struct reader *r, int fd)
{
	ssize_t n;

	if (r->size - r->n < 4096) {
		size_t size = r->size ? 2 * r->size : 65536;
		char *text = realloc(r->text, size);

		if (!text)
			return -ENOMEM;
		r->text = text;
		r->size = size;
	}
	do
		n = recv(fd, r->text + r->n, r->size - r->n, 0);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		r->n += (size_t)n;
	return n < 0 ? -errno : n;
}

static void reader_done(struct reader *r)
{
	free(r->text);
}

int vs_ask_events(const char *path, const struct vs_ask_events *ask, int stop_fd,
		  int (*line)(void *data, const char *text, size_t len, const json_t *event),
		  void *data)
{
	vs_cleanup(reader_done) struct reader reader = { .line = line, .data = data };
	vs_autoclose int fd = dial(path);
	int r;

	if (fd < 0)
		return fd;
	r = send_ask(fd, path, ask);
	while (!r) {
		struct pollfd p[2] = { { .fd = fd, .events = POLLIN },
				       { .fd = stop_fd, .events = POLLIN } };
		ssize_t n;

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return -errno;
		if (p[1].revents)
			return 0;
		if (!p[0].revents)
			continue;
		n = read_more(&reader, fd);
		if (n < 0)
			return vs_fail((int)n, "read events from the daemon: %s", strerror((int)-n));
		if (n == 0 && ask->follow)
			return vs_fail(ECONNRESET, "the daemon has ended");
		if (n == 0)
			return 0;
		r = take_lines(&reader);
	}
	return r;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sink/jsonl.h"

#include "base/cleanup.h"
#include "base/group.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

/* What a pipe is asked to hold: a host with 1,000 VMs begins with thousands of
 * events. It is what everybody may ask for, by default. */
#define PIPE_BYTES (1 << 20)

struct vs_sink {
	int fd;	   /* -1: see error */
	int error; /* why it could not be opened */
	bool named, regular, rotation_fails;
	char *rest; /* of a line of which a pipe took the beginning */
	size_t rest_len;
	uint64_t max_bytes;
	uint32_t keep;
	char path[PATH_MAX];
};

/* Return: a descriptor or -errno. A file that is there keeps its owner and mode. */
static int open_file(const char *path)
{
	const int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	int fd = open(path, flags | O_EXCL, 0640);

	if (fd >= 0) {
		(void)fchmod(fd, 0640); /* whatever the umask */
		vs_group_give(fd);
	} else if (errno == EEXIST) {
		fd = open(path, flags, 0640);
	}
	return fd < 0 ? -errno : fd;
}

/* A pipe is opened anew, so that not to wait is our affair only: the flag
 * belongs to the open description, which others may have, too. */
static int open_stdout(void)
{
	struct stat st;
	int fd = -1;

	if (!fstat(STDOUT_FILENO, &st) && S_ISFIFO(st.st_mode))
		fd = open("/proc/self/fd/1", O_WRONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

static void take_over(struct vs_sink *s, int fd)
{
	struct stat st = { 0 };

	if (s->fd >= 0)
		(void)close(s->fd);
	s->fd = fd;
	s->regular = !fstat(fd, &st) && S_ISREG(st.st_mode);
	if (S_ISFIFO(st.st_mode))
		(void)fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES);
}

static int jsonl_reopen(struct vs_sink *s)
{
	int fd;

	if (!s->named)
		return 0;
	fd = open_file(s->path);
	if (fd >= 0)
		take_over(s, fd);
	else
		s->error = fd;
	return fd < 0 ? fd : 0;
}

int vs_jsonl_open(const struct vs_jsonl_options *o, struct vs_sink **ret)
{
	struct vs_sink *s = calloc(1, sizeof(*s));
	int fd;

	if (!s)
		return -ENOMEM;
	s->fd = -1;
	s->max_bytes = o->max_bytes;
	s->keep = o->keep;
	s->named = strcmp(o->path, "-") != 0;
	(void)snprintf(s->path, sizeof(s->path), "%s", o->path);
	fd = s->named ? open_file(o->path) : open_stdout();
	if (fd < 0 && fd != -ENXIO) {
		free(s);
		return vs_fail(fd, "open the event file '%s': %s", o->path, strerror(-fd));
	}
	s->error = fd;
	if (fd >= 0)
		take_over(s, fd);
	*ret = s;
	return 0;
}

/* FILE.(keep - 1) -> FILE.keep, …, FILE -> FILE.1. What fails ends it before
 * anything is overwritten. */
static int shift(const char *path, uint32_t keep)
{
	char from[PATH_MAX + 16], to[PATH_MAX + 16];

	for (uint32_t i = keep; i > 0; i--) {
		(void)snprintf(to, sizeof(to), "%s.%u", path, i);
		(void)snprintf(from, sizeof(from), i == 1 ? "%s" : "%s.%u", path, i - 1);
		if (rename(from, to) && errno != ENOENT)
			return -errno;
	}
	return 0;
}

/* The new file is made first, under another name: there is always one to write to. */
static int rotate(struct vs_sink *s)
{
	vs_autofree char *path = realpath(s->path, NULL); /* of a link, the file */
	char fresh[PATH_MAX + 16];
	vs_autoclose int fd = -1;
	struct stat ours, named;
	int r;

	if (!path)
		return -errno;
	/* Somebody else is rotating it, and SIGHUP is on its way. */
	if (stat(path, &named) || fstat(s->fd, &ours) || named.st_ino != ours.st_ino ||
	    named.st_dev != ours.st_dev)
		return jsonl_reopen(s);
	(void)snprintf(fresh, sizeof(fresh), "%s.new", path);
	(void)unlink(fresh); /* of a daemon that died right here */
	fd = open_file(fresh);
	if (fd < 0)
		return fd;
	r = shift(path, s->keep);
	if (!r && rename(fresh, path))
		r = -errno;
	if (r) {
		(void)unlink(fresh);
		return r;
	}
	take_over(s, vs_take_fd(fd));
	return 0;
}

/* Before a line of @len bytes: the file is there and has room below its limit. */
static int make_ready(struct vs_sink *s, size_t len)
{
	struct stat st;
	int r;

	if (s->fd >= 0 && s->regular && !fstat(s->fd, &st)) {
		if (st.st_nlink == 0) { /* deleted: what is written there is gone */
			(void)close(s->fd);
			s->fd = -1;
		} else if (s->named && s->max_bytes && st.st_size > 0 &&
			   (uint64_t)st.st_size + len > s->max_bytes) {
			r = rotate(s);
			if (r && !s->rotation_fails)
				vs_warn("rotate the event file '%s': %s; it grows beyond its limit",
					s->path, strerror(-r));
			s->rotation_fails = r != 0;
		}
	}
	if (s->fd < 0)
		(void)jsonl_reopen(s);
	return s->fd < 0 ? s->error : 0;
}

/* Return: bytes written; *ret_r says why not all of them were. */
static size_t write_some(int fd, const char *text, size_t len, int *ret_r)
{
	size_t done = 0;

	*ret_r = 0;
	while (done < len && !*ret_r) {
		ssize_t n = write(fd, text + done, len - done);

		if (n >= 0)
			done += (size_t)n;
		else if (errno != EINTR)
			*ret_r = -errno;
	}
	return done;
}

static int write_rest(struct vs_sink *s)
{
	size_t n;
	int r;

	if (!s->rest)
		return 0;
	n = write_some(s->fd, s->rest, s->rest_len, &r);
	if (r == -EAGAIN) {
		s->rest_len -= n;
		memmove(s->rest, s->rest + n, s->rest_len);
		return r;
	}
	free(vs_take_ptr(s->rest)); /* written, or the reader has gone */
	return r;
}

static int jsonl_emit(struct vs_sink *s, const struct vs_sink_event *event)
{
	struct stat st;
	size_t n;
	int r = make_ready(s, event->len);

	if (!r)
		r = write_rest(s);
	if (r)
		return r;
	n = write_some(s->fd, event->line, event->len, &r);
	if (!r || !n)
		return r;
	if (s->regular && !fstat(s->fd, &st)) {
		(void)!ftruncate(s->fd, st.st_size - (off_t)n);
	} else if (r == -EAGAIN) {
		s->rest_len = event->len - n;
		s->rest = malloc(s->rest_len);
		if (s->rest)
			memcpy(s->rest, event->line + n, s->rest_len);
		return s->rest ? 0 : -ENOMEM;
	}
	return r;
}

static void jsonl_tick(struct vs_sink *s)
{
	if (s->fd < 0)
		(void)jsonl_reopen(s);
	else
		(void)write_rest(s);
}

static void jsonl_close(struct vs_sink **sink)
{
	struct vs_sink *s = *sink;

	if (!s)
		return;
	if (s->fd >= 0) {
		(void)write_rest(s);
		(void)close(s->fd);
	}
	free(s->rest);
	free(s);
	*sink = NULL;
}

const struct vs_sink_ops vs_sink_jsonl = {
	.emit = jsonl_emit,
	.reopen = jsonl_reopen,
	.tick = jsonl_tick,
	.close = jsonl_close,
};

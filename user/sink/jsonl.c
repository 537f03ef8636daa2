/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * jsonl.c - one JSON object a line, to a file (appended) or to stdout ("-").
 *
 * A line is written by one write(): a reader never sees half of one unless
 * the disk is full, and then the half is cut off again.
 */
#include "base/cleanup.h"
#include "base/log.h"
#include "sink/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <stdbool.h>
#include <sys/stat.h>

struct vs_sink {
	int fd;
	bool regular;
	bool failing;
	uint64_t lost;
	char path[4096];
};

static int jsonl_open(struct vs_sink **ret, const char *where)
{
	struct vs_sink *s = calloc(1, sizeof(*s));
	struct stat st;

	if (!s)
		return -ENOMEM;
	(void)snprintf(s->path, sizeof(s->path), "%s", where);
	if (strcmp(where, "-") == 0)
		s->fd = dup(STDOUT_FILENO);
	else
		s->fd = open(where, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	if (s->fd < 0) {
		int r = vs_fail(errno, "open the event file '%s': %s", where, strerror(errno));

		free(s);
		return r;
	}
	s->regular = !fstat(s->fd, &st) && S_ISREG(st.st_mode);
	*ret = s;
	return 0;
}

static int write_whole(struct vs_sink *s, const char *line, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(s->fd, line + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int r = -errno;
			struct stat st;

			if (done && s->regular && !fstat(s->fd, &st))
				(void)!ftruncate(s->fd, st.st_size - (off_t)done);
			return r;
		}
		done += (size_t)n;
	}
	return 0;
}

static int jsonl_emit(struct vs_sink *s, const json_t *event)
{
	vs_autofree char *text = json_dumps(event, JSON_COMPACT | JSON_PRESERVE_ORDER);
	size_t len = text ? strlen(text) : 0;
	int r = -ENOMEM;

	if (text) {
		text[len] = '\n'; /* in place of the NUL: one buffer, one write */
		r = write_whole(s, text, len + 1);
	}
	if (r) {
		s->lost++;
		if (!s->failing)
			vs_error("write events to '%s': %s; events are lost until that works again",
				 s->path, strerror(-r));
		s->failing = true;
		return r;
	}
	if (s->failing)
		vs_warn("events to '%s' are written again; %llu were lost", s->path,
			(unsigned long long)s->lost);
	s->failing = false;
	return 0;
}

static uint64_t jsonl_lost(const struct vs_sink *s)
{
	return s->lost;
}

static void jsonl_close(struct vs_sink **sink)
{
	if (!*sink)
		return;
	(void)close((*sink)->fd);
	free(*sink);
	*sink = NULL;
}

const struct vs_sink_ops vs_sink_jsonl = {
	.name = "jsonl",
	.open = jsonl_open,
	.emit = jsonl_emit,
	.lost = jsonl_lost,
	.close = jsonl_close,
};

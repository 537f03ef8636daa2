/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control_events.c - {"request":"events"}: from memory to a socket, as fast as it takes them.
 *
 * A reader has a position in the memory and, at most, the rest of one line; it
 * is the ring that bounds what waits for it.
 */
#include "base/cleanup.h"
#include "base/log.h"
#include "serve/client.h"
#include "serve/event_memory.h"

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>

/* Reports keep as many places. */
#define STREAMS (VS_CLIENTS__N / 2)
/* For one reader in one go: the tick must not wait for it. Some 100 us. */
#define GO_BYTES  65536
#define GO_EVENTS 1000

struct stream {
	uint64_t next;  /* position */
	uint64_t until; /* position; of a reader that does not follow */
	uint64_t since_seq, skipped;
	bool follow, wants_write;
	char vm[1024], type[128]; /* "": any */
	char *rest;
	size_t rest_len;
};

static bool matches(const struct stream *s, const struct vs_event_record *e)
{
	return e->seq > s->since_seq && (!*s->vm || strcmp(s->vm, e->vm) == 0) &&
	       (!*s->type || fnmatch(s->type, e->type, 0) == 0);
}

/* Return: false when the text does not fit into the request's memory of it. */
static bool take_text(char *dst, size_t size, const json_t *j)
{
	const char *s = json_string_value(j);

	return !s || (size_t)snprintf(dst, size, "%s", s) < size;
}

/* Leaves out what lies before the last @n matches. */
static void only_last(struct stream *s, const struct vs_event_memory *m, uint64_t n)
{
	uint64_t at = s->until;

	while (at > s->next && n > 0) {
		struct vs_event_record e = vs_event_memory_get(m, --at);

		n -= matches(s, &e);
	}
	s->next = at;
}

static void since(struct stream *s, const struct vs_event_memory *m, uint64_t seq)
{
	uint64_t begin = vs_event_memory_begin(m), end = vs_event_memory_end(m), first;

	/* A number that is not reached yet was given before the host was booted. */
	if (begin == end || seq > vs_event_memory_get(m, end - 1).seq)
		return;
	s->since_seq = seq;
	first = vs_event_memory_get(m, begin).seq;
	s->skipped = first > seq + 1 ? first - seq - 1 : 0;
}

static void refuse(struct vs_client *c, const char *text)
{
	(void)send(c->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static unsigned int streams(const struct vs_control *control)
{
	unsigned int n = 0;

	for (int i = 0; i < VS_CLIENTS__N; i++)
		n += control->clients[i].fd >= 0 && control->clients[i].request == &vs_request_events;
	return n;
}

static void *events_begin(struct vs_client *c, const json_t *asked)
{
	const struct vs_event_memory *m = c->control->ops.memory;
	json_int_t seq = json_integer_value(json_object_get(asked, "since_seq"));
	const json_t *last = json_object_get(asked, "last");
	vs_autofree struct stream *s = calloc(1, sizeof(*s));

	if (!m || !s)
		return NULL;
	if (streams(c->control) == STREAMS) {
		refuse(c, "{\"error\":\"as many as may already read events; try again later\"}\n");
		return NULL;
	}
	if (!take_text(s->vm, sizeof(s->vm), json_object_get(asked, "vm")) ||
	    !take_text(s->type, sizeof(s->type), json_object_get(asked, "type"))) {
		refuse(c, "{\"error\":\"no VM or type has so long a name\"}\n");
		return NULL;
	}
	s->follow = json_is_true(json_object_get(asked, "follow"));
	s->next = vs_event_memory_begin(m);
	s->until = vs_event_memory_end(m);
	if (seq > 0)
		since(s, m, (uint64_t)seq);
	if (json_is_integer(last) && json_integer_value(last) >= 0)
		only_last(s, m, (uint64_t)json_integer_value(last));
	return vs_take_ptr(s);
}

/* Nothing more is to be said on this connection. */
static bool events_line(struct vs_client *c, const char *line)
{
	(void)c;
	(void)line;
	return false;
}

/* Return: 0 when all of it was taken, 1 when a rest must wait, -errno when the reader has gone. */
static int put(struct vs_client *c, struct stream *s, const char *text, size_t len)
{
	ssize_t n = send(c->fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	char *rest;

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return -errno;
	if (n < 0)
		n = 0;
	if ((size_t)n == len)
		return 0;
	rest = malloc(len - (size_t)n);
	if (!rest)
		return -ENOMEM;
	memcpy(rest, text + n, len - (size_t)n);
	free(s->rest);
	s->rest = rest;
	s->rest_len = len - (size_t)n;
	return 1;
}

static int put_rest(struct vs_client *c, struct stream *s)
{
	vs_autofree char *rest = vs_take_ptr(s->rest);

	return rest ? put(c, s, rest, s->rest_len) : 0;
}

static int put_skipped(struct vs_client *c, struct stream *s)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "{\"skipped\":%" PRIu64 "}\n", s->skipped);

	s->skipped = 0;
	return put(c, s, text, (size_t)n);
}

/* As put(); also 1 when there is more to send. */
static int pump(struct vs_client *c, struct stream *s)
{
	const struct vs_event_memory *m = c->control->ops.memory;
	uint64_t begin = vs_event_memory_begin(m);
	uint64_t end = s->follow ? vs_event_memory_end(m) : s->until;
	size_t bytes = 0;
	int r = put_rest(c, s);

	if (s->next < begin) {
		s->skipped += (begin < end ? begin : end) - s->next;
		s->next = begin;
	}
	if (!r && s->skipped)
		r = put_skipped(c, s);
	for (int i = 0; !r && s->next < end; i++) {
		struct vs_event_record e;

		if (i == GO_EVENTS || bytes >= GO_BYTES)
			return 1;
		e = vs_event_memory_get(m, s->next++);
		if (!matches(s, &e))
			continue;
		bytes += e.len;
		r = put(c, s, e.line, e.len);
	}
	return r;
}

static void events_go_on(struct vs_client *c)
{
	struct stream *s = c->state;
	int r = pump(c, s);

	if (r < 0 || (!r && !s->follow)) {
		vs_client_hang_up(c);
	} else if ((r == 1) != s->wants_write) {
		s->wants_write = r == 1;
		vs_client_want_write(c, s->wants_write);
	}
}

/* One that waits for its socket is not tried for every event. */
static void events_event(struct vs_client *c)
{
	const struct stream *s = c->state;

	if (!s->wants_write)
		events_go_on(c);
}

static void events_end(struct vs_client *c)
{
	struct stream *s = c->state;

	free(s->rest);
	free(s);
}

const struct vs_request_ops vs_request_events = {
	.name = "events",
	.begin = events_begin,
	.line = events_line,
	.writable = events_go_on,
	.event = events_event,
	.end = events_end,
};

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serve/event_memory.h"

#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Texts lie behind it: type, NUL, VM's name, NUL, line. */
struct record {
	uint64_t seq;
	uint32_t type_len, vm_len, len;
};

struct vs_event_memory {
	uint32_t events_max, bytes;
	char *ring;
	uint64_t *starts; /* of position i, at i % events_max: bytes ever written before it */
	uint64_t begin, end;
	uint64_t head; /* bytes ever written, with those left out at the ring's end */
	void (*watcher)(void *data);
	void *watcher_data;
};

struct vs_sink {
	struct vs_event_memory *memory;
};

/* Not malloc(): what was never written must not count as ours. */
static void *pages(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

int vs_event_memory_new(uint32_t events, uint32_t bytes, struct vs_event_memory **ret)
{
	struct vs_event_memory *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->events_max = events;
	m->bytes = bytes;
	m->ring = pages(bytes);
	m->starts = pages(events * sizeof(*m->starts));
	if (!m->ring || !m->starts) {
		vs_event_memory_free(&m);
		return vs_fail(ENOMEM, "keep the last %u events in memory: %s", events,
			       strerror(ENOMEM));
	}
	*ret = m;
	return 0;
}

void vs_event_memory_free(struct vs_event_memory **memory)
{
	struct vs_event_memory *m = *memory;

	if (!m)
		return;
	if (m->ring)
		(void)munmap(m->ring, m->bytes);
	if (m->starts)
		(void)munmap(m->starts, m->events_max * sizeof(*m->starts));
	free(m);
	*memory = NULL;
}

uint64_t vs_event_memory_begin(const struct vs_event_memory *m)
{
	return m->begin;
}

uint64_t vs_event_memory_end(const struct vs_event_memory *m)
{
	return m->end;
}

struct vs_event_record vs_event_memory_get(const struct vs_event_memory *m, uint64_t at)
{
	const char *p = m->ring + m->starts[at % m->events_max] % m->bytes;
	struct vs_event_record ret;
	struct record r;

	memcpy(&r, p, sizeof(r)); /* they lie as they come: not aligned */
	ret.seq = r.seq;
	ret.type = p + sizeof(r);
	ret.vm = ret.type + r.type_len + 1;
	ret.line = ret.vm + r.vm_len + 1;
	ret.len = r.len;
	return ret;
}

void vs_event_memory_watch(struct vs_event_memory *m, void (*fn)(void *data), void *data)
{
	m->watcher = fn;
	m->watcher_data = data;
}

static const char *text_or_empty(const json_t *j)
{
	const char *s = json_string_value(j);

	return s ? s : "";
}

/* Makes room for @size bytes in one piece, at the cost of the oldest. */
static char *make_room(struct vs_event_memory *m, size_t size)
{
	uint64_t left = m->bytes - m->head % m->bytes;

	if (left < size)
		m->head += left;
	while (m->begin < m->end && (m->end - m->begin == m->events_max ||
				     m->starts[m->begin % m->events_max] + m->bytes < m->head + size))
		m->begin++;
	return m->ring + m->head % m->bytes;
}

static int memory_emit(struct vs_sink *sink, const struct vs_sink_event *event)
{
	struct vs_event_memory *m = sink->memory;
	const json_t *vm_name = json_object_get(json_object_get(event->json, "vm"), "name");
	const char *type = text_or_empty(json_object_get(event->json, "type"));
	const char *vm = text_or_empty(vm_name);
	struct record r = {
		.seq = (uint64_t)json_integer_value(json_object_get(event->json, "seq")),
		.type_len = (uint32_t)strlen(type),
		.vm_len = (uint32_t)strlen(vm),
		.len = (uint32_t)event->len,
	};
	size_t size = sizeof(r) + r.type_len + 1 + r.vm_len + 1 + r.len;
	char *p;

	if (size > m->bytes)
		return -EMSGSIZE;
	p = make_room(m, size);
	m->starts[m->end % m->events_max] = m->head;
	m->head += size;
	m->end++;
	memcpy(p, &r, sizeof(r));
	p += sizeof(r);
	memcpy(p, type, r.type_len + 1);
	p += r.type_len + 1;
	memcpy(p, vm, r.vm_len + 1);
	memcpy(p + r.vm_len + 1, event->line, r.len);
	if (m->watcher)
		m->watcher(m->watcher_data);
	return 0;
}

int vs_event_memory_sink(struct vs_event_memory *memory, struct vs_sink **ret)
{
	struct vs_sink *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->memory = memory;
	*ret = s;
	return 0;
}

static void memory_close(struct vs_sink **sink)
{
	free(*sink);
	*sink = NULL;
}

const struct vs_sink_ops vs_sink_memory = {
	.emit = memory_emit,
	.close = memory_close,
};

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sink/sinks.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>

struct member {
	const char *name;
	char *where;
	const struct vs_sink_ops *ops;
	struct vs_sink *sink;
	uint64_t written, lost;
	int error; /* of the last event: 0 or -errno */
	/* The stretch of losses that is being told of, if any. */
	bool stretch;
	uint64_t lost_before; /* it */
	uint64_t lost_told;
	uint64_t told_ns; /* 0: never */
	int why;
};

struct vs_sinks {
	uint32_t n;
	struct member members[VS_SINKS__MAX];
};

int vs_sinks_new(struct vs_sinks **ret)
{
	struct vs_sinks *set = calloc(1, sizeof(*set));

	if (!set)
		return -ENOMEM;
	*ret = set;
	return 0;
}

static void begin_stretch(struct member *m)
{
	if (m->stretch)
		return;
	m->stretch = true;
	m->lost_before = m->lost_told = m->lost;
}

static void give(struct member *m, const struct vs_sink_event *event)
{
	m->error = event->line ? m->ops->emit(m->sink, event) : -ENOMEM;
	if (!m->error) {
		m->written++;
		return;
	}
	begin_stretch(m);
	m->why = m->error;
	m->lost++;
}

/* What a sink had taken and could not write after all. */
static void count_later(struct member *m, bool at_end)
{
	uint64_t n = m->ops->lost_later ? m->ops->lost_later(m->sink, at_end) : 0;

	if (!n)
		return;
	begin_stretch(m);
	m->why = m->error ? m->error : -EAGAIN;
	m->lost += n;
}

static void close_sink(struct member *m)
{
	count_later(m, true);
	m->ops->close(&m->sink);
	free(m->where);
	m->where = NULL;
}

void vs_sinks_free(struct vs_sinks **set)
{
	struct vs_sinks *s = *set;

	if (!s)
		return;
	for (uint32_t i = 0; i < s->n; i++) {
		struct member *m = &s->members[i];

		count_later(m, true);
		if (m->lost)
			vs_warn("%s: %llu events were lost in all", m->where,
				(unsigned long long)m->lost);
		close_sink(m);
	}
	free(s);
	*set = NULL;
}

int vs_sinks_add(struct vs_sinks *set, const char *name, const char *where,
		 const struct vs_sink_ops *ops, struct vs_sink **sink)
{
	vs_autofree char *copy = strdup(where);
	struct member *m = &set->members[set->n];

	if (!copy || set->n == VS_SINKS__MAX) {
		int r = copy ? ENOSPC : ENOMEM;

		ops->close(sink);
		return vs_fail(r, "write events to %s: %s", where, strerror(r));
	}
	*m = (struct member){ .name = name, .ops = ops };
	m->where = vs_take_ptr(copy);
	m->sink = vs_take_ptr(*sink);
	set->n++;
	return 0;
}

static struct member *find(struct vs_sinks *set, const char *name)
{
	for (uint32_t i = 0; i < set->n; i++)
		if (strcmp(set->members[i].name, name) == 0)
			return &set->members[i];
	return NULL;
}

int vs_sinks_replace(struct vs_sinks *set, const char *name, const char *where,
		     const struct vs_sink_ops *ops, struct vs_sink **sink)
{
	struct member *m = find(set, name);
	vs_autofree char *copy = m ? strdup(where) : NULL;

	if (!m)
		return vs_sinks_add(set, name, where, ops, sink);
	if (!copy) {
		ops->close(sink);
		return vs_fail(ENOMEM, "write events to %s: %s", where, strerror(ENOMEM));
	}
	close_sink(m);
	m->ops = ops;
	m->where = vs_take_ptr(copy);
	m->sink = vs_take_ptr(*sink);
	return 0;
}

void vs_sinks_remove(struct vs_sinks *set, const char *name)
{
	struct member *m = find(set, name);

	if (!m)
		return;
	close_sink(m);
	set->n--;
	memmove(m, m + 1, (size_t)(&set->members[set->n] - m) * sizeof(*m));
}

void vs_sinks_emit(struct vs_sinks *set, const json_t *event)
{
	/* ASCII: names hold what some readers take for the end of a line (U+0085, U+2028)
	 * and what terminals take for commands (U+009B). */
	vs_autofree char *text =
		json_dumps(event, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII);
	struct vs_sink_event e = { .json = event, .line = text };

	if (text) {
		e.len = strlen(text);
		text[e.len++] = '\n'; /* in place of the NUL: no copy for one byte */
	}
	for (uint32_t i = 0; i < set->n; i++)
		give(&set->members[i], &e);
}

/* Of a sink, the usual words would puzzle: nobody asked it to try again. */
static const char *why(int r)
{
	return r == -EAGAIN ? "its reader is too slow" : strerror(-r);
}

static void tell(struct member *m, uint64_t now_ns, vs_sinks_emit_fn emit, void *to)
{
	bool over = !m->error, first = m->lost_told == m->lost_before;
	uint64_t count = m->lost - m->lost_before;

	if (over)
		vs_warn("events to %s are written again; %llu were lost", m->where,
			(unsigned long long)count);
	else if (first)
		vs_error("write events to %s: %s; events are lost until that works again",
			 m->where, why(m->why));
	m->told_ns = now_ns;
	m->stretch = !over;
	if (emit)
		emit(to, "sink.dropped", over ? "info" : "error", NULL,
		     json_pack("{s:s,s:s,s:I,s:s}", "sink", m->name, "state",
			       over ? "recovered" : "losing", "count", (json_int_t)count, "why",
			       why(m->why)));
	/* That event was lost as well, maybe: nothing to tell of again. */
	if (m->stretch)
		m->lost_told = m->lost;
}

void vs_sinks_tick(struct vs_sinks *set, uint64_t now_ns, vs_sinks_emit_fn emit, void *to)
{
	for (uint32_t i = 0; i < set->n; i++) {
		struct member *m = &set->members[i];

		if (m->ops->tick)
			m->ops->tick(m->sink);
		count_later(m, false);
		if (!m->stretch || (m->told_ns && now_ns - m->told_ns < VS_SINKS_TELL_EVERY_NS))
			continue;
		if (!m->error || m->lost > m->lost_told)
			tell(m, now_ns, emit, to);
	}
}

int vs_sinks_reopen(struct vs_sinks *set)
{
	int first = 0;

	for (uint32_t i = 0; i < set->n; i++) {
		struct member *m = &set->members[i];
		int r = m->ops->reopen ? m->ops->reopen(m->sink) : 0;

		if (r)
			vs_error("reopen %s: %s", m->where, strerror(-r));
		first = first ? first : r;
	}
	return first;
}

bool vs_sinks_get(const struct vs_sinks *set, uint32_t i, struct vs_sink_stats *ret)
{
	const struct member *m = &set->members[i];

	if (i >= set->n)
		return false;
	*ret = (struct vs_sink_stats){
		.name = m->name, .written = m->written, .lost = m->lost, .failing = m->error != 0
	};
	return true;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* daemon_sinks.c - where the daemon's events go. */
#include "app/daemon.h"
#include "app/options.h"
#include "base/log.h"
#include "sink/journal.h"
#include "sink/jsonl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int add_file(struct vs_daemon *d, const char *path)
{
	const struct vs_jsonl_options options = { .path = path,
						  .max_bytes = VS_JSONL_MAX_BYTES,
						  .keep = VS_JSONL_KEEP };
	bool named = strcmp(path, "-") != 0;
	struct vs_sink *sink = NULL;
	char where[4200];
	int r = vs_jsonl_open(&options, &sink);

	(void)snprintf(where, sizeof(where), named ? "'%s'" : "stdout", path);
	return r ? r : vs_sinks_add(d->sinks, named ? "file" : "stdout", where, &vs_sink_jsonl, &sink);
}

static int add_journal(struct vs_daemon *d)
{
	struct vs_sink *sink = NULL;
	int r = vs_journal_open(VS_JOURNAL_SOCKET, &sink);

	return r ? r : vs_sinks_add(d->sinks, "journal", "the journal", &vs_sink_journal, &sink);
}

/* First of the sinks, so that readers of the memory see what others lose. */
static int add_memory(struct vs_daemon *d)
{
	struct vs_sink *sink = NULL;
	int r = vs_event_memory_new(VS_EVENT_MEMORY_EVENTS, VS_EVENT_MEMORY_BYTES, &d->memory);

	if (!r)
		r = vs_event_memory_sink(d->memory, &sink);
	return r ? r : vs_sinks_add(d->sinks, "memory", "memory", &vs_sink_memory, &sink);
}

int vs_daemon_open_sinks(struct vs_daemon *d, const struct vs_options *o)
{
	int r = vs_sinks_new(&d->sinks);

	if (!r)
		r = add_memory(d);
	if (!r && o->events)
		r = add_file(d, o->events);
	if (!r && o->journal)
		r = add_journal(d);
	return r;
}

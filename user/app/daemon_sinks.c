/* SPDX-License-Identifier: GPL-2.0-or-later */
/* daemon_sinks.c - where the daemon's events go. */
#include "app/daemon.h"
#include "app/options.h"
#include "sink/journal.h"
#include "sink/jsonl.h"

#include <string.h>

static int add_file(struct vs_daemon *d, const char *name, const char *path,
		    const struct vs_daemon_sinks *want)
{
	const struct vs_jsonl_options options = {
		.path = path, .max_bytes = want->max_bytes, .keep = want->keep
	};
	struct vs_sink *sink = NULL;
	int r = vs_jsonl_open(&options, &sink);

	return r ? r : vs_sinks_add(d->sinks, name, strcmp(path, "-") == 0 ? "stdout" : path,
				    &vs_sink_jsonl, &sink);
}

static int add_journal(struct vs_daemon *d)
{
	struct vs_sink *sink = NULL;
	int r = vs_journal_open(VS_JOURNAL_SOCKET, &sink);

	return r ? r : vs_sinks_add(d->sinks, "journal", "the journal", &vs_sink_journal, &sink);
}

static int add_memory(struct vs_daemon *d, uint32_t events)
{
	struct vs_sink *sink = NULL;
	int r = vs_event_memory_new(events, VS_EVENT_MEMORY_BYTES, &d->memory);

	if (!r)
		r = vs_event_memory_sink(d->memory, &sink);
	return r ? r : vs_sinks_add(d->sinks, "memory", "memory", &vs_sink_memory, &sink);
}

static bool has_sink(const struct vs_daemon *d, const char *name)
{
	struct vs_sink_stats s;

	for (uint32_t i = 0; vs_sinks_get(d->sinks, i, &s); i++)
		if (strcmp(s.name, name) == 0)
			return true;
	return false;
}

/* A file is opened anew each time: its name, or only its limit, may be another. */
static int apply(struct vs_daemon *d, const struct vs_daemon_sinks *want)
{
	bool file = want->file && *want->file;
	int r = file ? add_file(d, "file", want->file, want) : 0, r2 = 0;

	if (!file)
		vs_sinks_remove(d->sinks, "file");
	if (!want->to_stdout)
		vs_sinks_remove(d->sinks, "stdout");
	else if (!has_sink(d, "stdout"))
		r2 = add_file(d, "stdout", "-", want);
	r = r ? r : r2;
	if (!want->journal)
		vs_sinks_remove(d->sinks, "journal");
	else if (!has_sink(d, "journal"))
		r2 = add_journal(d);
	return r ? r : r2;
}

struct vs_daemon_sinks vs_daemon_sinks_of(const struct vs_options *o)
{
	bool to_stdout = o->events && strcmp(o->events, "-") == 0;

	return (struct vs_daemon_sinks){ .file = to_stdout ? NULL : o->events,
					 .max_bytes = VS_JSONL_MAX_BYTES,
					 .keep = VS_JSONL_KEEP,
					 .to_stdout = to_stdout,
					 .journal = o->journal,
					 .memory = VS_EVENT_MEMORY_EVENTS };
}

int vs_daemon_open_sinks(struct vs_daemon *d, const struct vs_daemon_sinks *want)
{
	int r = vs_sinks_new(&d->sinks);

	/* First of the sinks, so that its readers see what others lose. */
	if (!r && want->memory)
		r = add_memory(d, want->memory);
	return r ? r : apply(d, want);
}

int vs_daemon_reopen_sinks(struct vs_daemon *d, const struct vs_daemon_sinks *want)
{
	return apply(d, want);
}

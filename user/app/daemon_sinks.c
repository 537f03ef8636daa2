/* SPDX-License-Identifier: GPL-2.0-or-later */
/* daemon_sinks.c - where the daemon's events go. */
#include "app/daemon.h"
#include "app/settings.h"
#include "base/log.h"
#include "sink/journal.h"
#include "sink/jsonl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* @path: "-" for stdout */
static int add_file(struct vs_daemon *d, const char *path, const struct vs_config *c)
{
	const struct vs_jsonl_options options = { .path = path,
						  .max_bytes = c->events.file.max_bytes,
						  .keep = c->events.file.keep };
	bool named = strcmp(path, "-") != 0;
	struct vs_sink *sink = NULL;
	char where[4200];
	int r = vs_jsonl_open(&options, &sink);

	(void)snprintf(where, sizeof(where), named ? "'%s'" : "stdout", path);
	return r ? r :
		   vs_sinks_replace(d->sinks, named ? "file" : "stdout", where, &vs_sink_jsonl,
				    &sink);
}

static int add_journal(struct vs_daemon *d)
{
	struct vs_sink *sink = NULL;
	int r = vs_journal_open(d->loop, VS_JOURNAL_SOCKET, &sink);

	return r ? r : vs_sinks_add(d->sinks, "journal", "the journal", &vs_sink_journal, &sink);
}

/* First of the sinks, so that readers of the memory see what others lose. */
static int add_memory(struct vs_daemon *d, const struct vs_config *c)
{
	struct vs_sink *sink = NULL;
	int r = vs_event_memory_new(c->events.memory, VS_EVENT_MEMORY_BYTES, &d->memory);

	if (!r)
		r = vs_event_memory_sink(d->memory, &sink);
	return r ? r : vs_sinks_add(d->sinks, "memory", "memory", &vs_sink_memory, &sink);
}

int vs_daemon_open_sinks(struct vs_daemon *d, const struct vs_config *c)
{
	int r = vs_sinks_new(&d->sinks);

	if (!r && c->events.memory)
		r = add_memory(d, c);
	if (!r && c->events.file.path[0])
		r = add_file(d, c->events.file.path, c);
	if (!r && vs_settings_stdout(c))
		r = add_file(d, "-", c);
	if (!r && c->events.journal)
		r = add_journal(d);
	return r;
}

void vs_daemon_change_sinks(struct vs_daemon *d, const struct vs_config *old, struct vs_config *c)
{
	bool out = vs_settings_stdout(c);

	/* The new one first: a path that cannot be opened must not cost the old one. */
	if (!c->events.file.path[0])
		vs_sinks_remove(d->sinks, "file");
	else if (memcmp(&old->events.file, &c->events.file, sizeof(c->events.file)) &&
		 add_file(d, c->events.file.path, c)) {
		vs_error("reload: events.file: stays as it was");
		c->events.file = old->events.file;
	}
	if (!out)
		vs_sinks_remove(d->sinks, "stdout");
	else if (!vs_settings_stdout(old) && add_file(d, "-", c))
		vs_error("reload: events.stdout: stays as it was");
	if (!c->events.journal)
		vs_sinks_remove(d->sinks, "journal");
	else if (!old->events.journal && add_journal(d))
		c->events.journal = false;
}

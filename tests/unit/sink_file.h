/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sink_file.h - an event file in a directory of its own, for the tests of jsonl.c. */
#pragma once
#include "unit.h"

#include "sink/jsonl.h"

#include <sys/stat.h>

struct place {
	char *dir;
	char path[128];
	struct vs_sink *sink;
	int saved_stderr;
};

static inline int make(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->dir = unit_make_dir();
	(void)snprintf(p->path, sizeof(p->path), "%s/events", p->dir);
	p->saved_stderr = unit_hush();
	*state = p;
	return 0;
}

static inline int drop(void **state)
{
	struct place *p = *state;

	vs_sink_jsonl.close(&p->sink);
	unit_unhush(p->saved_stderr);
	unit_remove_dir(p->dir, (const char *const[]){ "events", "events.1", "events.2", "events.3",
						       "events.new", "link", "renamed", NULL });
	free(p);
	return 0;
}

static inline int open_file(struct place *p, const char *path, uint64_t max_bytes, uint32_t keep)
{
	const struct vs_jsonl_options o = { .path = path, .max_bytes = max_bytes, .keep = keep };

	return vs_jsonl_open(&o, &p->sink);
}

static inline int emit(struct vs_sink *sink, int seq, const char *text)
{
	json_t *j = json_pack("{s:i,s:s}", "seq", seq, "text", text);
	char *line = json_dumps(j, JSON_COMPACT | JSON_PRESERVE_ORDER);
	struct vs_sink_event e = { .json = j, .len = strlen(line) + 1 };
	int r;

	line[e.len - 1] = '\n'; /* as sinks.c does it: there is no NUL to lean on */
	e.line = line;
	r = vs_sink_jsonl.emit(sink, &e);
	free(line);
	json_decref(j);
	return r;
}

/* The file must hold lines of JSON and nothing else. Return: how many. */
static inline int lines(const char *path, int seqs[], int max)
{
	FILE *f = fopen(path, "r");
	char line[8192];
	int n = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		json_t *j = json_loads(line, 0, NULL);

		assert_true(line[strlen(line) - 1] == '\n');
		assert_non_null(j);
		if (n < max)
			seqs[n] = (int)json_integer_value(json_object_get(j, "seq"));
		n++;
		json_decref(j);
	}
	(void)fclose(f);
	return n;
}

static inline char *at(const struct place *p, const char *name)
{
	static char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", p->dir, name);
	return path;
}

/* {"seq":1,"text":""} and "\n" */
#define LINE 20

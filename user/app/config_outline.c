/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_outline.c - a walk over libyaml's events: places, and all problems at once. */
#include "app/config_table.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

/* The deepest that makes sense is a field of a record of a list of a section. */
#define DEPTH_MAX 16

struct walk {
	yaml_parser_t parser;
	yaml_event_t event; /* the one under the reading head */
	const char *bytes;
	size_t n;
	int depth;
	int error; /* 0 while the walk can go on */
	int *lines;
	struct vs_config_problems *problems;
};

static int event_line(const struct walk *w)
{
	return (int)w->event.start_mark.line + 1;
}

static void bad_syntax(struct walk *w)
{
	const yaml_parser_t *p = &w->parser;
	int line = (int)p->problem_mark.line + 1;

	w->error = p->error == YAML_MEMORY_ERROR ? -ENOMEM : -EINVAL;
	if (p->error == YAML_MEMORY_ERROR)
		return;
	if (p->error == YAML_READER_ERROR) { /* has no line, only an offset */
		line = 1;
		for (size_t i = 0; i < p->problem_offset && i < w->n; i++)
			line += w->bytes[i] == '\n';
	}
	vs_config_problem_add(w->problems, line, NULL,
			      "YAML, indented by spaces: virtscope.yaml(5)", "syntax: %s%s%s",
			      p->problem ? p->problem : "not YAML", p->context ? ", " : "",
			      p->context ? p->context : "");
}

/* Moves on to the next event. Anchors and tags are told here: any node has them. */
static bool next(struct walk *w)
{
	const char *anchor = NULL, *tag = NULL;

	if (w->error)
		return false;
	yaml_event_delete(&w->event);
	if (!yaml_parser_parse(&w->parser, &w->event)) {
		bad_syntax(w);
		return false;
	}
	switch (w->event.type) {
	case YAML_MAPPING_START_EVENT:
		anchor = (const char *)w->event.data.mapping_start.anchor;
		tag = (const char *)w->event.data.mapping_start.tag;
		w->depth++;
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = (const char *)w->event.data.sequence_start.anchor;
		tag = (const char *)w->event.data.sequence_start.tag;
		w->depth++;
		break;
	case YAML_SCALAR_EVENT:
		anchor = (const char *)w->event.data.scalar.anchor;
		tag = (const char *)w->event.data.scalar.tag;
		break;
	case YAML_ALIAS_EVENT:
		anchor = (const char *)w->event.data.alias.anchor;
		break;
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		w->depth--;
		break;
	default:
		break;
	}
	if (anchor)
		vs_config_problem_add(w->problems, event_line(w), NULL,
				      "values themselves, without & and *",
				      "the anchor or alias '%.60s' is not possible", anchor);
	if (tag)
		vs_config_problem_add(w->problems, event_line(w), NULL, "values without a tag",
				      "the tag '%.60s' is not possible", tag);
	if (w->depth > DEPTH_MAX) {
		/* No further: what libyaml does for each level adds up. */
		vs_config_problem_add(w->problems, event_line(w), NULL, "what virtscope.yaml(5) shows",
				      "nested too deeply");
		w->error = -EINVAL;
	}
	return !w->error;
}

/* From the first event of a node to its last. */
static void skip(struct walk *w)
{
	int depth = w->depth - 1;

	if (w->event.type != YAML_MAPPING_START_EVENT && w->event.type != YAML_SEQUENCE_START_EVENT)
		return;
	while (w->depth > depth && next(w))
		;
}

static const char *scalar(const struct walk *w)
{
	return w->event.type == YAML_SCALAR_EVENT ? (const char *)w->event.data.scalar.value : NULL;
}

static bool is_plain(const struct walk *w)
{
	return w->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

/* What YAML 1.2's core schema takes for nothing, and libcyaml with it. */
static bool is_null(const struct walk *w)
{
	const char *s = scalar(w);

	return s && is_plain(w) &&
	       (!*s || !strcmp(s, "~") || !strcmp(s, "null") || !strcmp(s, "Null") || !strcmp(s, "NULL"));
}

static const char *kind(const struct walk *w)
{
	return w->event.type == YAML_MAPPING_START_EVENT  ? "a mapping" :
	       w->event.type == YAML_SEQUENCE_START_EVENT ? "a list" :
							    "a single value";
}

/* A node where another kind was wanted. An alias has been told already. */
static void unfit(struct walk *w, const char *path, const char *allowed)
{
	if (is_null(w))
		vs_config_problem_add(w->problems, event_line(w), path, allowed, "has no value");
	else if (w->event.type != YAML_ALIAS_EVENT)
		vs_config_problem_add(w->problems, event_line(w), path, allowed,
				      "%s is not possible", kind(w));
	skip(w);
}

static void value(struct walk *w, const struct vs_config_key *k, const char *path)
{
	const char *s = scalar(w), *wrong;

	if (!s || is_null(w)) {
		unfit(w, path, k->allowed);
		return;
	}
	wrong = vs_config_value_wrong(k, s, w->event.data.scalar.length, is_plain(w));
	if (wrong)
		vs_config_problem_add(w->problems, event_line(w), path, k->allowed, "'%.200s' %s", s,
				      wrong);
}

static void mapping(struct walk *w, int section, const char *path, int *lines);

static void list(struct walk *w, int row, const char *path)
{
	const struct vs_config_key *k = &vs_config_keys[row];
	char entry[180], allowed[400];
	uint32_t n = 0;

	if (w->event.type != YAML_SEQUENCE_START_EVENT) {
		unfit(w, path, k->allowed);
		return;
	}
	while (next(w) && w->event.type != YAML_SEQUENCE_END_EVENT) {
		int lines[VS_CONFIG_KEY__N] = { 0 };
		int line = event_line(w);

		(void)snprintf(entry, sizeof(entry), "%s[%u]", path, n);
		if (n++ == k->entries)
			vs_config_problem_add(w->problems, line, path, k->allowed,
					      "has more than %u entries", k->entries);
		if (n > k->entries) {
			skip(w);
		} else if (k->type != VS_CONFIG_RECORDS) {
			value(w, k, entry);
		} else if (w->event.type != YAML_MAPPING_START_EVENT) {
			vs_config_key_list(row, allowed, sizeof(allowed));
			unfit(w, entry, allowed);
		} else {
			mapping(w, row, entry, lines);
			for (int i = 0; i < vs_config_keys_n && !w->error; i++)
				if (vs_config_key_inside(i, row) && !lines[i])
					vs_config_problem_add(w->problems, line, entry,
							      vs_config_keys[i].allowed,
							      "%s is missing",
							      vs_config_key_name(&vs_config_keys[i]));
		}
	}
}

static void node(struct walk *w, int row, const char *path)
{
	const struct vs_config_key *k = &vs_config_keys[row];
	char allowed[400];

	switch (k->type) {
	case VS_CONFIG_SECTION:
		if (w->event.type == YAML_MAPPING_START_EVENT) {
			mapping(w, row, path, w->lines);
		} else if (!is_null(w)) { /* all of its keys may be commented out */
			vs_config_key_list(row, allowed, sizeof(allowed));
			unfit(w, path, allowed);
		}
		break;
	case VS_CONFIG_NUMBERS:
	case VS_CONFIG_TEXTS:
	case VS_CONFIG_RECORDS:
		list(w, row, path);
		break;
	default:
		value(w, k, path);
	}
}

/* A mapping's keys. @section: its row, -1 for the top; recursion is as deep as the table. */
static void mapping(struct walk *w, int section, const char *path, int *lines)
{
	char key[160], row_path[160], allowed[400];
	const char *parent = section < 0 ? "" : vs_config_keys[section].path;
	bool record = section >= 0 && vs_config_keys[section].type == VS_CONFIG_RECORDS;

	while (next(w) && w->event.type != YAML_MAPPING_END_EVENT) {
		const char *s = scalar(w);
		int line = event_line(w), row;

		if (!s) {
			vs_config_key_list(section, allowed, sizeof(allowed));
			unfit(w, *path ? path : NULL, allowed);
			if (next(w))
				skip(w);
			continue;
		}
		(void)snprintf(key, sizeof(key), "%s%s%.60s", path, *path ? "." : "", s);
		(void)snprintf(row_path, sizeof(row_path), "%s%s%s%.60s", parent, record ? "[]" : "",
			       *parent ? "." : "", s);
		row = vs_config_key_find(row_path, strlen(row_path));
		/* "events.file" in one word, or cut at 60, is no key. */
		if (row >= 0 && (strchr(s, '.') || strlen(s) != w->event.data.scalar.length))
			row = -1;
		if (row < 0) {
			vs_config_key_list(section, allowed, sizeof(allowed));
			vs_config_problem_add(w->problems, line, key, allowed, "unknown key");
		} else if (lines[row]) {
			vs_config_problem_add(w->problems, line, key, "each key once",
					      "given twice, first on line %d", lines[row]);
		} else {
			lines[row] = line;
			if (next(w))
				node(w, row, key);
			continue;
		}
		if (next(w))
			skip(w);
	}
}

static void document(struct walk *w)
{
	char allowed[400];

	/* stream start; then the end, or a document and its node */
	if (!next(w) || !next(w) || w->event.type == YAML_STREAM_END_EVENT || !next(w))
		return;
	if (w->event.type == YAML_MAPPING_START_EVENT) {
		mapping(w, -1, "", w->lines);
	} else if (!is_null(w)) {
		vs_config_key_list(-1, allowed, sizeof(allowed));
		unfit(w, NULL, allowed);
	}
	if (next(w) && next(w) && w->event.type != YAML_STREAM_END_EVENT)
		vs_config_problem_add(w->problems, event_line(w), NULL, "one document",
				      "a second document begins");
}

int vs_config_outline(const char *bytes, size_t n, int *ret_lines,
		      struct vs_config_problems *problems)
{
	struct walk w = { .bytes = bytes, .n = n, .lines = ret_lines, .problems = problems };
	uint32_t before = problems->n + problems->more;

	memset(ret_lines, 0, sizeof(*ret_lines) * VS_CONFIG_KEY__N);
	if (!yaml_parser_initialize(&w.parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&w.parser, (const unsigned char *)bytes, n);
	document(&w);
	yaml_event_delete(&w.event);
	yaml_parser_delete(&w.parser);
	if (w.error)
		return w.error;
	return problems->n + problems->more > before ? -EINVAL : 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serve/exposition.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define GROW_MIN 65536

struct vs_exposition {
	struct vs_exports *series;
	int metric;	    /* the one under way */
	struct vs_row *row; /* its next row */
	uint32_t slot;	    /* of the metric among its collector's */
	bool begun, done, failed;
	uint64_t n; /* series so far */
	char *text;
	size_t len, size;
};

int vs_exposition_new(struct vs_exports *series, struct vs_exposition **ret)
{
	struct vs_exposition *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->series = series;
	e->metric = -1;
	series->frozen = true;
	*ret = e;
	return 0;
}

void vs_exposition_free(struct vs_exposition **exposition)
{
	struct vs_exposition *e = *exposition;

	if (!e)
		return;
	if (!e->done)
		e->series->frozen = false;
	free(e->text);
	free(e);
	*exposition = NULL;
}

static void put(struct vs_exposition *e, const char *text, size_t len)
{
	if (e->size - e->len < len) {
		size_t size = e->size + e->size / 2 + len + GROW_MIN;
		char *more = realloc(e->text, size);

		if (!more) {
			e->failed = true;
			return;
		}
		e->text = more;
		e->size = size;
	}
	memcpy(e->text + e->len, text, len);
	e->len += len;
}

static void puts_to(struct vs_exposition *e, const char *text)
{
	put(e, text, strlen(text));
}

static void put_u64(struct vs_exposition *e, uint64_t v)
{
	char text[20], *p = text + sizeof(text);

	do
		*--p = (char)('0' + v % 10);
	while (v /= 10);
	put(e, p, (size_t)(text + sizeof(text) - p));
}

static void put_i64(struct vs_exposition *e, int64_t v)
{
	if (v < 0)
		put(e, "-", 1);
	put_u64(e, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

/* Exact: a double would be good for 104 days of ns. */
static void put_seconds(struct vs_exposition *e, uint64_t ns)
{
	uint64_t rest = ns % 1000000000;
	char text[10] = ".";
	size_t n = 9;

	put_u64(e, ns / 1000000000);
	if (!rest)
		return;
	for (size_t i = 9; i; i--, rest /= 10)
		text[i] = (char)('0' + rest % 10);
	while (text[n] == '0')
		n--;
	put(e, text, n + 1);
}

/* Labels of a row, with an le or without. */
static void put_labels(struct vs_exposition *e, const struct vs_row *row, const char *le)
{
	const struct vs_device *d = row->device;
	bool any = false;

	if (!*d->subject->label && !d->label && !*row->text && !le)
		return;
	put(e, "{", 1);
	if (*d->subject->label) {
		puts_to(e, "vm=\"");
		puts_to(e, d->subject->label);
		put(e, "\"", 1);
		any = true;
	}
	if (d->label) {
		puts_to(e, any ? "," : "");
		puts_to(e, d->kind == VS_DEVICE_VNIC ? "vnic=\"" : "disk=\"");
		puts_to(e, d->label);
		put(e, "\"", 1);
		any = true;
	}
	if (*row->text) {
		puts_to(e, any ? "," : "");
		puts_to(e, row->text);
		any = true;
	}
	if (le) {
		puts_to(e, any ? ",le=\"" : "le=\"");
		puts_to(e, le);
		put(e, "\"", 1);
	}
	put(e, "}", 1);
}

static void put_name(struct vs_exposition *e, const struct vs_metric *m, const char *suffix,
		     const struct vs_row *row, const char *le)
{
	puts_to(e, m->name);
	puts_to(e, suffix);
	put_labels(e, row, le);
	put(e, " ", 1);
	e->n++;
}

static void put_histogram(struct vs_exposition *e, const struct vs_metric *m,
			  const struct vs_row *row, const uint64_t *v)
{
	uint32_t n = e->series->bounds_n;
	uint64_t sum = 0;

	for (uint32_t b = 0; b <= n; b++) {
		sum += v[b];
		put_name(e, m, "_bucket", row, e->series->le[b]);
		put_u64(e, sum);
		put(e, "\n", 1);
	}
	put_name(e, m, "_sum", row, NULL);
	put_seconds(e, v[n + 1]);
	put(e, "\n", 1);
	put_name(e, m, "_count", row, NULL);
	put_u64(e, sum);
	put(e, "\n", 1);
}

/* Before the first series of a family; one without any is left out. */
static void put_head(struct vs_exposition *e, const struct vs_metric *m)
{
	static const char *const types[] = {
		[VS_METRIC_COUNTER] = "counter",     [VS_METRIC_COUNTER32] = "counter",
		[VS_METRIC_GAUGE] = "gauge",	     [VS_METRIC_SIGNED] = "gauge",
		[VS_METRIC_HISTOGRAM] = "histogram", [VS_METRIC_INFO] = "gauge",
	};

	if (e->begun)
		return;
	e->begun = true;
	puts_to(e, "# HELP ");
	puts_to(e, m->name);
	put(e, " ", 1);
	puts_to(e, m->help); /* ours: nothing to escape, a test sees to it */
	puts_to(e, "\n# TYPE ");
	puts_to(e, m->name);
	put(e, " ", 1);
	puts_to(e, types[m->type]);
	put(e, "\n", 1);
}

static void put_row(struct vs_exposition *e, const struct vs_row *row)
{
	const struct vs_metric *m = &vs_metrics[e->metric];
	const uint64_t *v = &row->v[e->series->slots[m->collector].at[e->slot]];

	if (!(row->has & 1u << e->slot))
		return;
	put_head(e, m);
	if (m->type == VS_METRIC_HISTOGRAM) {
		put_histogram(e, m, row, v);
		return;
	}
	put_name(e, m, "", row, NULL);
	if (m->type == VS_METRIC_SIGNED)
		put_i64(e, (int64_t)*v);
	else if (strcmp(m->unit, "SECONDS") == 0)
		put_seconds(e, *v);
	else
		put_u64(e, *v);
	put(e, "\n", 1);
}

/* The next metric, in the order of metrics.def. Return: false after the last. */
static bool next_metric(struct vs_exposition *e)
{
	const struct vs_layout *s;

	if (++e->metric == VS_METRIC__N)
		return false;
	s = &e->series->slots[vs_metrics[e->metric].collector];
	for (e->slot = 0; s->metric[e->slot] != (enum vs_metric_id)e->metric;)
		e->slot++;
	e->row = e->series->rows[vs_metrics[e->metric].collector];
	e->begun = false;
	return true;
}

int vs_exposition_step(struct vs_exposition *e, uint32_t rows)
{
	for (uint32_t n = 0; !e->done && !e->failed; n++) {
		if (rows && n == rows)
			return 1;
		while (!e->row && !e->done)
			e->done = !next_metric(e);
		if (e->done)
			break;
		put_row(e, e->row);
		e->row = e->row->next;
	}
	if (e->failed)
		return -ENOMEM;
	e->series->frozen = false;
	return 0;
}

uint64_t vs_exposition_series(const struct vs_exposition *e)
{
	return e->n;
}

char *vs_exposition_take(struct vs_exposition *e, size_t *ret_len)
{
	/* what it grew ahead is given back: a page may be held for long */
	char *text = e->len ? realloc(e->text, e->len) : NULL;

	if (!text)
		text = e->text;
	*ret_len = e->len;
	e->text = NULL;
	e->len = e->size = 0;
	return text;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* origins.c - rows of series, and the origins whose differences they add up. */
#include "serve/exports.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

uint32_t vs_exports_cost(const struct vs_exports *series, enum vs_collector collector,
			 uint32_t wanted)
{
	const struct vs_layout *s = &series->slots[collector];
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->metrics_n; i++)
		if (wanted & 1u << i)
			n += vs_metrics[s->metric[i]].type == VS_METRIC_HISTOGRAM
				     ? series->bounds_n + 3
				     : /* +Inf, _sum, _count */
				     1;
	return n;
}

uint32_t vs_exports_wanted(const struct vs_exports *series, enum vs_collector collector,
			   const struct vs_metric_context *c, bool detail)
{
	const struct vs_layout *s = &series->slots[collector];
	uint32_t wanted = 0;

	for (uint32_t i = 0; i < s->metrics_n; i++)
		if (detail || vs_metrics[s->metric[i]].level(c))
			wanted |= 1u << i;
	return wanted;
}

struct vs_row *vs_exports_row(const struct vs_device *device, enum vs_collector collector,
			      const char *text)
{
	struct vs_row *row;

	DL_FOREACH2(device->rows, row, dnext)
	{
		if (row->collector == collector && (!text || strcmp(row->text, text) == 0))
			return row;
	}
	return NULL;
}

static struct vs_row *make_row(struct vs_exports *series, enum vs_collector collector,
			       struct vs_device *device, const char *text, uint32_t wanted)
{
	struct vs_row *row =
		calloc(1, sizeof(*row) + series->slots[collector].size * sizeof(row->v[0]));

	if (!row)
		return NULL;
	row->text = strdup(text);
	if (!row->text) {
		free(row);
		return NULL;
	}
	row->device = device;
	row->collector = collector;
	row->wanted = wanted;
	DL_APPEND(series->rows[collector], row);
	DL_APPEND2(device->rows, row, dprev, dnext);
	return row;
}

static void free_row(struct vs_exports *series, struct vs_row *row)
{
	DL_DELETE(series->rows[row->collector], row);
	DL_DELETE2(row->device->rows, row, dprev, dnext);
	free(row->text);
	free(row);
}

void vs_exports_free_rows(struct vs_exports *series, struct vs_device *device)
{
	while (device->rows)
		free_row(series, device->rows);
}

static void free_object(struct vs_exports *series, enum vs_collector collector, struct vs_origin *o)
{
	if (series->at[collector] == o)
		series->at[collector] = NULL;
	series->folded[VS_FOLDED_REASON] -= o->folded;
	HASH_DEL(series->objects[collector], o);
	free(o);
}

void vs_exports_bury(struct vs_exports *series)
{
	struct vs_origin *o, *tmp;

	for (int c = 0; c < VS_COLLECT__N; c++)
		HASH_ITER(hh, series->objects[c], o, tmp)
		{
			if (o->row->device->dead)
				free_object(series, (enum vs_collector)c, o);
		}
}

void vs_exports_sweep(struct vs_exports *series, enum vs_collector collector)
{
	struct vs_origin *o, *tmp;

	if (HASH_COUNT(series->objects[collector]) == series->touched[collector])
		return;
	HASH_ITER(hh, series->objects[collector], o, tmp)
	{
		if (o->gen != series->gen)
			free_object(series, collector, o);
	}
}

struct vs_origin *vs_exports_find(struct vs_exports *series, enum vs_collector collector,
				  const struct vs_origin_key *key)
{
	struct vs_origin *last = series->at[collector];
	struct vs_origin *o = last ? last->hh.next : series->objects[collector];

	/* Samples are sorted, and the table keeps the order of arrival. */
	if (!o || memcmp(&o->key, key, sizeof(*key)) != 0)
		HASH_FIND(hh, series->objects[collector], key, sizeof(*key), o);
	if (!o)
		return NULL;
	series->at[collector] = o;
	if (o->gen != series->gen)
		series->touched[collector]++;
	o->gen = series->gen;
	return o;
}

struct vs_origin *vs_exports_make(struct vs_exports *series, enum vs_collector collector,
				  const struct vs_origin_key *key, struct vs_device *device,
				  const char *text, uint32_t wanted)
{
	struct vs_origin *o =
		calloc(1, sizeof(*o) + series->slots[collector].size * sizeof(o->last[0]));
	struct vs_row *row = vs_exports_row(device, collector, text);

	if (!row)
		row = make_row(series, collector, device, text, wanted);
	if (!o || !row) {
		free(o);
		return NULL;
	}
	o->key = *key;
	o->row = row;
	o->gen = series->gen;
	series->touched[collector]++;
	HASH_ADD(hh, series->objects[collector], key, sizeof(o->key), o);
	series->at[collector] = o;
	return o;
}

/* A count that went back: begun anew if it lost more than half, else two numbers
 * that were not read in one moment, and it will catch up. */
static uint64_t since(uint64_t now, uint64_t *last)
{
	uint64_t was = *last;

	if (now >= was) {
		*last = now;
		return now - was;
	}
	if (now >= was / 2)
		return 0;
	*last = now;
	return now;
}

/* The same modulo 2^32: going back and having wrapped look alike, but for the distance. */
static uint32_t since32(uint32_t now, uint64_t *last)
{
	uint32_t more = now - (uint32_t)*last;

	*last = now;
	return more > 1u << 31 ? now : more;
}

static void add_histogram(const struct vs_exports *series, const struct vs_hist_view *h,
			  uint64_t *last, uint64_t *v)
{
	uint32_t n = series->bounds_n, i = 0;

	for (uint32_t b = 0; b <= n; b++) {
		uint32_t end = b < n ? series->bound[b] + 1 : VS_HIST__N, sum = 0;

		for (; i < end; i++)
			sum += h->n[i * h->stride];
		v[b] += since32(sum, &last[b]);
	}
	v[n + 1] += since(h->sum_ns, &last[n + 1]);
}

/* Gauges begin at 0 with each sample, so that objects can add to them. */
static void begin_row(struct vs_exports *series, struct vs_row *row)
{
	const struct vs_layout *s = &series->slots[row->collector];

	if (row->gen == series->gen)
		return;
	row->gen = series->gen;
	row->has = 0;
	for (uint32_t i = 0; i < s->metrics_n; i++) {
		enum vs_metric_type type = vs_metrics[s->metric[i]].type;

		if (type == VS_METRIC_GAUGE || type == VS_METRIC_SIGNED)
			row->v[s->at[i]] = 0;
	}
}

void vs_exports_add(struct vs_exports *series, struct vs_origin *o,
		    const struct vs_metric_context *c)
{
	struct vs_row *row = o->row;
	const struct vs_layout *s = &series->slots[row->collector];

	begin_row(series, row);
	for (uint32_t i = 0; i < s->metrics_n; i++) {
		const struct vs_metric *m = &vs_metrics[s->metric[i]];
		struct vs_metric_value value;
		uint64_t *v = &row->v[s->at[i]], *last = &o->last[s->at[i]];

		if (!(row->wanted & 1u << i))
			continue;
		m->get(c, &value);
		if (!value.has)
			continue;
		row->has |= 1u << i;
		if (m->type == VS_METRIC_COUNTER)
			*v += since(value.u, last);
		else if (m->type == VS_METRIC_COUNTER32)
			*v += since32((uint32_t)value.u, last);
		else if (m->type == VS_METRIC_HISTOGRAM)
			add_histogram(series, &value.hist, last, v);
		else
			*v += value.u;
	}
}

int vs_exports_set(struct vs_exports *series, enum vs_collector collector, struct vs_device *device,
		   const char *text, bool text_only, const struct vs_metric_context *c)
{
	const struct vs_layout *s = &series->slots[collector];
	struct vs_row *row = vs_exports_row(device, collector, text_only ? NULL : text);

	if (!row)
		row = make_row(series, collector, device, text,
			       vs_exports_wanted(series, collector, c, device->subject->detail));
	if (!row)
		return -ENOMEM;
	if (text_only && strcmp(row->text, text) != 0) {
		char *copy = strdup(text);

		if (!copy)
			return -ENOMEM;
		free(row->text);
		row->text = copy;
	}
	row->gen = series->gen;
	row->has = 0;
	for (uint32_t i = 0; i < s->metrics_n; i++) {
		const struct vs_metric *m = &vs_metrics[s->metric[i]];
		uint64_t none[VS_EXPORTS_BUCKET__N + 2] = {0}, *v = &row->v[s->at[i]];
		struct vs_metric_value value;

		m->get(c, &value);
		if (!value.has || !(row->wanted & 1u << i))
			continue;
		row->has |= 1u << i;
		if (m->type == VS_METRIC_HISTOGRAM) {
			memset(v, 0, (series->bounds_n + 2) * sizeof(*v));
			add_histogram(series, &value.hist, none, v);
		} else {
			*v = value.u;
		}
	}
	return 0;
}

/* Rows that are set, not added to, are as of the last sample or not at all. */
void vs_exports_sweep_rows(struct vs_exports *series)
{
	static const enum vs_collector as_a_whole[] = {
		VS_COLLECT_INFO_VM, VS_COLLECT_INFO_STATE, VS_COLLECT_INFO_VNIC, VS_COLLECT_PROBE,
		VS_COLLECT_PROGRAM, VS_COLLECT_MAP,	   VS_COLLECT_SINK,
	};
	struct vs_row *row, *tmp;

	for (size_t i = 0; i < sizeof(as_a_whole) / sizeof(as_a_whole[0]); i++)
		DL_FOREACH_SAFE(series->rows[as_a_whole[i]], row, tmp)
		{
			if (row->gen != series->gen)
				free_row(series, row);
		}
}

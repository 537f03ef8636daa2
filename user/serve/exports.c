/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serve/exports.h"

#include "base/histogram.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOUND_MIN 2e-6
#define BOUND_MAX 60.0

/* 7 bounds, so that a VM with two vNICs under vhost and two disks is below 150. */
static const double default_buckets[] = {20e-6, 100e-6, 500e-6, 2e-3, 10e-3, 100e-3, 1.0};

uint32_t vs_exports_snap(double seconds)
{
	double ns = seconds * 1e9, best = INFINITY;
	uint32_t at = 0;

	/* The last has no upper edge. */
	for (uint32_t i = 0; i + 1 < VS_HIST__N; i++) {
		double off = fabs((double)vs_hist_upper_ns(i) - ns);

		if (off < best) {
			best = off;
			at = i;
		}
	}
	return at;
}

/* ns as seconds, without trailing zeros. */
static void text_of_edge(uint64_t ns, char ret[24])
{
	size_t n = (size_t)snprintf(ret, 24, "%llu.%09llu", (unsigned long long)(ns / 1000000000),
				    (unsigned long long)(ns % 1000000000));

	while (ret[n - 1] == '0' && ret[n - 2] != '.')
		ret[--n] = '\0';
}

static int set_bounds(struct vs_exports *series)
{
	const struct vs_exports_options *o = &series->options;
	const double *wished = o->buckets_n ? o->buckets : default_buckets;
	uint32_t n =
		o->buckets_n ? o->buckets_n : sizeof(default_buckets) / sizeof(default_buckets[0]);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t bound;

		if (n > VS_EXPORTS_BUCKET__N || !(wished[i] >= BOUND_MIN) ||
		    wished[i] > BOUND_MAX || (i && wished[i] <= wished[i - 1]))
			return vs_fail(
				EINVAL,
				"metrics: the bucket %g s is not possible: up to %d bounds from "
				"0.000002 to 60, each above the one before",
				wished[i], VS_EXPORTS_BUCKET__N);
		bound = vs_exports_snap(wished[i]);
		/* two wishes for one edge: one is enough */
		if (series->bounds_n && series->bound[series->bounds_n - 1] == bound)
			continue;
		series->bound[series->bounds_n] = bound;
		text_of_edge(vs_hist_upper_ns(bound), series->le[series->bounds_n++]);
	}
	(void)snprintf(series->le[series->bounds_n], sizeof(series->le[0]), "+Inf");
	return 0;
}

static void set_slots(struct vs_exports *series)
{
	for (int m = 0; m < VS_METRIC__N; m++) {
		struct vs_layout *s = &series->slots[vs_metrics[m].collector];

		s->metric[s->metrics_n] = (enum vs_metric_id)m;
		s->at[s->metrics_n++] = s->size;
		s->size += vs_metrics[m].type == VS_METRIC_HISTOGRAM ? series->bounds_n + 2 : 1;
	}
}

static void free_detail(struct vs_exports *series)
{
	for (uint32_t i = 0; i < series->options.detail_n; i++)
		free(series->detail[i]);
	free(series->detail);
}

static int copy_detail(struct vs_exports *series, const struct vs_exports_options *o)
{
	series->options.detail = NULL;
	series->options.detail_n = 0;
	series->detail = calloc(o->detail_n + 1, sizeof(*series->detail));
	if (!series->detail)
		return -ENOMEM;
	for (uint32_t i = 0; i < o->detail_n; i++) {
		series->detail[i] = strdup(o->detail[i]);
		if (!series->detail[i])
			return -ENOMEM;
		series->options.detail_n++;
	}
	series->options.detail = (const char *const *)series->detail;
	return 0;
}

int vs_exports_new(const struct vs_exports_options *options, struct vs_exports **ret)
{
	struct vs_exports *series = calloc(1, sizeof(*series));
	int r;

	if (!series)
		return -ENOMEM;
	series->options = *options;
	if (!series->options.series_per_vm)
		series->options.series_per_vm = 150;
	if (!series->options.vms)
		series->options.vms = 500;
	r = copy_detail(series, options);
	if (!r)
		r = set_bounds(series);
	if (r) {
		free_detail(series);
		free(series);
		return r;
	}
	set_slots(series);
	vs_subjects_init(series);
	*ret = series;
	return 0;
}

static void free_objects(struct vs_exports *series)
{
	struct vs_origin *o, *tmp;

	for (int c = 0; c < VS_COLLECT__N; c++)
		HASH_ITER(hh, series->objects[c], o, tmp)
		{
			HASH_DEL(series->objects[c], o);
			free(o);
		}
}

void vs_exports_free(struct vs_exports **s)
{
	struct vs_exports *series = *s;

	if (!series)
		return;
	free_objects(series);
	vs_subjects_done(series);
	free_detail(series);
	free(series);
	*s = NULL;
}

char *vs_exports_escape(const char *text, char ret_text[static VS_ESCAPED__N])
{
	/* Doubled, what is shown fits. Names of VMs are 256 bytes at most. */
	char clean[VS_ESCAPED__N / 2], shown[VS_ESCAPED__N / 2];
	char *out = ret_text, *end_of_text = ret_text + VS_ESCAPED__N - 3;

	(void)vs_text_utf8(clean, sizeof(clean), text, strlen(text));
	for (char *line = clean, *end;; line = end + 1) {
		end = strchr(line, '\n');
		if (end)
			*end = '\0';
		(void)vs_text_printable(shown, sizeof(shown), line);
		for (const char *p = shown; *p && out < end_of_text; p++) {
			if (*p == '\\' || *p == '"')
				*out++ = '\\';
			*out++ = *p;
		}
		if (!end || out >= end_of_text)
			break;
		*out++ = '\\';
		*out++ = 'n';
	}
	*out = '\0';
	return ret_text;
}

int vs_exports_update(struct vs_exports *series, const struct vs_sample *s,
		      const struct vs_own *own)
{
	int r, of_self;

	series->gen++;
	memset(series->touched, 0, sizeof(series->touched));
	memset(series->at, 0, sizeof(series->at));
	r = vs_exports_walk(series, s);
	vs_subjects_sweep(series);
	if (series->relabel && !r)
		r = vs_subjects_relabel(series);
	of_self = vs_exports_walk_self(series, s, own);
	vs_exports_sweep_rows(series);
	return r ? r : of_self;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * report.h - two samples -> the object of schema "virtscope.report/1".
 *
 * Counters are differences over the time between the samples, gauges are as
 * of the newer one. 0 was measured, null was not. docs/report.schema.json
 * describes the object; terminal, control socket and tests all read this one.
 *
 * Layer:   model
 * State:   none
 * Threads: any
 */
#pragma once
#include "model/sample.h"

#include <jansson.h>

struct vs_report_context {
	const char *host;
	const char *kernel;
	const char *running_as; /* "standalone" or "daemon" */
};

/* Microseconds to the nanosecond: %.17g would print noise. */
json_t *vs_report_us(double ns);

/* Percentiles, maximum, sum and buckets of @h into @into; null where empty. */
void vs_report_set_distribution(json_t *into, const struct vs_hist *h);

/**
 * vs_report_build() - the report over the time from @older to @newer.
 * @older: sorted; what it does not hold began after it, and counts from 0
 * @newer: sorted
 *
 * Return: a new reference, or NULL when there is no memory.
 */
json_t *vs_report_build(const struct vs_sample *older, const struct vs_sample *newer,
			const struct vs_report_context *context);

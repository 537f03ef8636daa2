/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * anomaly.h - a VM that is unlike itself: samples in, stretches out.
 *
 * The series of series.h, a detector of detect.h for each, and stretch.h over
 * its verdicts.
 *
 * Layer:   detect
 * State:   struct vs_anomaly_detector
 * Threads: one. Time comes with the sample.
 */
#pragma once
#include "detect/detect.h"
#include "detect/stretch.h"
#include "model/sample.h"

#include <jansson.h>

struct vs_anomaly_detector;

/* A stretch that begins or ends. Texts are borrowed, for as long as the callback runs. */
struct vs_anomaly {
	uint64_t vm_uid;
	enum vs_series_kind kind;
	const char *vnic, *disk;     /* one of them is NULL */
	const char *direction, *op;  /* likewise: "rx", "tx"; "read", "write" */
	double value, expected;	     /* in units of the kind; NAN: there is none */
	double deviation;	     /* in usual deviations; NAN: there is none */
	double peak;		     /* furthest from what was expected so far */
	bool start;		     /* else stop */
	enum vs_stretch_cause cause; /* of a stop */
	uint64_t since_wall_ns, duration_ns;
};
typedef void (*vs_anomaly_fn)(void *data, const struct vs_anomaly *anomaly);

/* Return: 0 or -ENOMEM. @options is copied. */
int vs_anomaly_new(const struct vs_detect_options *options, struct vs_anomaly_detector **ret);
void vs_anomaly_free(struct vs_anomaly_detector **d);

/* Other options from now on; what was learnt is kept. */
void vs_anomaly_configure(struct vs_anomaly_detector *d, const struct vs_detect_options *options);

/* Looks at a sample, sorted; calls @fn for each stretch that begins or ends. Call it
 * about once a second. Does nothing, and forgets all, while detection is off. */
void vs_anomaly_tick(struct vs_anomaly_detector *d, const struct vs_sample *s, vs_anomaly_fn fn,
		     void *data);

/* The data of an event "anomaly"; its severity. A new reference, NULL when out of memory. */
json_t *vs_anomaly_data(const struct vs_anomaly *a);
const char *vs_anomaly_severity(const struct vs_anomaly *a);

struct vs_anomaly_stats {
	size_t series, bytes;
	uint64_t values, absent; /* so far; absent: a series had none for a while */
	uint64_t starts;
};
void vs_anomaly_stats(const struct vs_anomaly_detector *d, struct vs_anomaly_stats *ret);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * detect.h - what a detector of abnormal values is, and what it is asked.
 *
 * A detector looks at the values of one series, one after the other, and says
 * how far each is from what the ones before let expect. It decides nothing:
 * when that is an event, stretch.h decides for all detectors alike. What a
 * series is, series.h says; anomaly.h ties the three together.
 *
 * To add one: 1. write user/detect/NAME.c with a struct vs_detector_ops, its
 * comment naming the source of its formulas; 2. declare it below; 3. name it in
 * vs_anomaly_new() and enter its figures, made with `build/tests/bench/detect_csv`, in
 * docs/DETECTION.md.
 *
 * Layer:   detect
 * State:   a detector's, one per series, in memory of the caller
 * Threads: one. Nobody here reads a clock.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Name, unit in events, scale, floor, falls, strictness, window: see struct vs_form. */
#define VS_SERIES_KINDS(X)                                                                         \
	X(RESIDENCE, "residence", "s", 100e-6, 0.25, false, 1.0, 1, 16)                            \
	X(DISK_LATENCY, "disk_latency", "s", 200e-6, 0.25, false, 1.0, 1, 16)                      \
	X(DROP_RATIO, "drop_ratio", "1", 0, 0.001, false, 1.0, 1, 100)                             \
	X(THROUGHPUT, "throughput", "B/s", 1e6, 0.3, true, 1.5, 5, 0)
enum vs_series_kind {
#define X(name, ...) VS_SERIES_##name,
	VS_SERIES_KINDS(X)
#undef X
		VS_SERIES__N,
};

/* How values of one kind are looked at; docs/DETECTION.md has the reasons. */
struct vs_form {
	const char *name, *unit;
	/* Compared is log2(1 + value / scale): doublings, and below the scale nearly
	 * the value itself, so that changes of next to nothing are small. 0: the value. */
	double scale;
	double floor;	   /* usual deviation of the compared value, at least */
	bool falls;	   /* what falls is abnormal, too; else only what rises */
	double strictness; /* times the threshold */
	uint32_t window_s; /* a value covers at least so many seconds */
	uint32_t least;	   /* and so many packets or requests */
};
extern const struct vs_form vs_forms[VS_SERIES__N];

/* To what is compared, and back. */
double vs_form_compared(const struct vs_form *form, double value);
double vs_form_value(const struct vs_form *form, double compared);

struct vs_detect_options {
	bool enabled;
	uint32_t warmup_s;   /* no event for so long after the first value of a series */
	double threshold;    /* usual deviations; times the strictness of the kind */
	uint32_t hold_off_s; /* from the end of a stretch to the next start, same series */
	uint32_t accept_s;   /* a stretch that lasts so long is the new normal */
};
#define VS_DETECT_WARMUP_S 300
#define VS_DETECT_THRESHOLD 6.0
#define VS_DETECT_HOLD_OFF_S 600
#define VS_DETECT_ACCEPT_S 3600
#define VS_DETECT_DEFAULTS                                                                         \
	{                                                                                          \
		.enabled = true, .warmup_s = VS_DETECT_WARMUP_S, .threshold = VS_DETECT_THRESHOLD, \
		.hold_off_s = VS_DETECT_HOLD_OFF_S, .accept_s = VS_DETECT_ACCEPT_S                 \
	}

struct vs_verdict {
	double expected;  /* in the terms of the compared value */
	double deviation; /* of the value from it, in usual deviations; > 0: more than expected */
};

struct vs_detector_ops {
	const char *name;
	size_t state_size; /* bytes per series; with the rest of a series 512 at most */
	/* @floor: the usual deviation is never taken to be less; > 0 */
	void (*init)(void *state, double floor);
	/* Judges @x, which is finite, by what was learnt so far. */
	void (*judge)(const void *state, double x, struct vs_verdict *ret);
	/* Learns from it; not called for what belongs to an abnormal stretch. Both
	 * together take 300 ns at most. */
	void (*learn)(void *state, double x);
};

extern const struct vs_detector_ops vs_detector_ewma;

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stretch.h - when deviations become an abnormal stretch, and when it is over.
 *
 * It starts when VS_STRETCH_OVER of the last VS_STRETCH_OF values were beyond the
 * threshold, so that no single value raises an alarm, and stops after
 * VS_STRETCH_BELOW values below half of it, with none beyond it between them. After a stop the same series
 * is silent for the hold-off; what is abnormal then is told at its end. A
 * stretch that lasts for accept_s is taken for the new normal: it stops, and what
 * is usual is learnt anew.
 *
 * What a detector may learn from is said here, too: after the warm-up, a value
 * VS_STRETCH_OF values later, when no stretch has come of it. Learnt at once, the
 * first values of a stretch widen what is usual until the rest is within it.
 *
 * Layer:   detect
 * State:   struct vs_stretch, one per series, in memory of the caller
 * Threads: one. Time is passed in, monotonic.
 */
#pragma once
#include "detect/detect.h"

#define VS_STRETCH_OVER 5
#define VS_STRETCH_OF 8
#define VS_STRETCH_BELOW 10
/* Usual is what at least so many values say, however short the warm-up. */
#define VS_STRETCH_LEARNT 10
/* The stretch of a series without values for so long is over. */
#define VS_STRETCH_ABSENT_NS (60 * 1000000000ull)

/* Why a stretch is over. Who knows that the series itself is gone says "ended". */
#define VS_STRETCH_CAUSES(X)                                                                       \
	X(CALM, "calm")                                                                            \
	X(ACCEPTED, "accepted")                                                                    \
	X(ABSENT, "absent")                                                                        \
	X(ENDED, "ended")
enum vs_stretch_cause {
#define X(name, label) VS_STRETCH_##name,
	VS_STRETCH_CAUSES(X)
#undef X
};
const char *vs_stretch_cause_name(enum vs_stretch_cause cause);

/* Zeroed: a series of which nothing is known. */
struct vs_stretch {
	uint64_t first_ns;   /* of what is being learnt; 0: nothing yet */
	uint64_t value_ns;   /* last value */
	uint64_t since_ns;   /* stretch under way: first value beyond the threshold */
	uint64_t stopped_ns; /* 0: no stretch yet */
	struct {
		uint64_t over_ns; /* beyond the threshold, then; 0: not */
		double x;
		bool to_learn;
	} last[VS_STRETCH_OF]; /* values, a ring */
	double peak;	       /* of the stretch, as compared */
	double peak_deviation;
	double lesson;	 /* learn from this now, if there is one */
	uint32_t values; /* since first_ns */
	uint32_t below;	 /* half the threshold, since the last one beyond it */
	bool open, has_lesson;
};

enum vs_stretch_step { VS_STRETCH_NOTHING, VS_STRETCH_START, VS_STRETCH_STOP };

/**
 * vs_stretch_value() - one more value; then look at the lesson.
 * @x:     as compared
 * @cause: set with VS_STRETCH_STOP; if VS_STRETCH_ACCEPTED, the caller makes the
 *         detector learn anew
 */
enum vs_stretch_step vs_stretch_value(struct vs_stretch *s, const struct vs_detect_options *o,
				      const struct vs_form *form, const struct vs_verdict *verdict,
				      double x, uint64_t now_ns, enum vs_stretch_cause *cause);

/* No value came by @now_ns. Return and @cause as above. */
enum vs_stretch_step vs_stretch_absent(struct vs_stretch *s, uint64_t now_ns,
				       enum vs_stretch_cause *cause);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pace.h - how punctual a periodic tick is: how late it begins, how long it
 * takes, and which ticks never came.
 *
 * A tick is due at first + k * period. One that begins a whole period late or
 * more stands for all that were due meanwhile: the first of them is the one that
 * is late, the others are missed.
 *
 * Layer:   model
 * State:   struct vs_pace, its owner's
 * Threads: the owner's; time is passed in
 */
#pragma once
#include "model/sample.h"

struct vs_pace {
	uint64_t period_ns;
	uint64_t due_ns; /* the next tick */
	uint64_t begun_ns;
	struct vs_pace_sample sample; /* so far: copy it into vs_self_sample.pace */
};

/* The timer was armed at @now_ns; its first tick is due one period later. */
void vs_pace_init(struct vs_pace *pace, uint64_t now_ns, uint64_t period_ns);
void vs_pace_begin(struct vs_pace *pace, uint64_t now_ns);
/* After the matching begin. */
void vs_pace_end(struct vs_pace *pace, uint64_t now_ns);

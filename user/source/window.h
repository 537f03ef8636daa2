/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * window.h - a report under way: from its first look to the finished object.
 *
 * Layer:   source
 * State:   struct vs_window
 * Threads: one
 */
#pragma once
#include "model/report.h"
#include "source/source.h"

struct vs_window;

/* A deep window is bounded: it costs everybody on the host. */
#define VS_DEEP_MAX_S 60.0

/* What the source cannot know of us: how punctual we are, what became of events. */
struct vs_window_own {
	void (*fill)(void *data, struct vs_self_sample *self);
	void *data;
};

/**
 * vs_window_open() - take the first look.
 * @own: copied; NULL: nothing of that
 * @source: must outlive it
 * @deep: attach the deep window's programs until it is freed; where that fails
 *        the report is made without, its "deep" is null
 *
 * Return: 0 or -errno. Logs: yes.
 */
int vs_window_open(const struct vs_source *source, bool deep, const struct vs_window_own *own,
		   struct vs_window **ret);

/* The last look, and the report. Return: a new reference, or NULL. */
json_t *vs_window_report(struct vs_window *window, const struct vs_report_context *context);

void vs_window_free(struct vs_window **window);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * journal_text.h - an event as journald wants it (systemd.io/JOURNAL_NATIVE_PROTOCOL).
 *
 * Layer:   sink; for journal.c only
 * State:   struct vs_journal_text: a buffer that is used again and again
 * Threads: one
 */
#pragma once
#include "sink/sink.h"

#include <stdbool.h>

struct vs_journal_text {
	char *text;
	size_t len, size;
	bool failed; /* no memory */
};

/* Return: 0 with the message in @t, or -ENOMEM. */
int vs_journal_text_make(struct vs_journal_text *t, const struct vs_sink_event *event);
void vs_journal_text_done(struct vs_journal_text *t);

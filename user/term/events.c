/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "term/events.h"

#include "base/text.h"
#include "model/event_types.h"

#include <string.h>

#define SENTENCE 4096

static const char *text(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "-";
}

/* @s, clean, and blanks up to @width characters. */
static void column(FILE *out, const char *s, size_t width)
{
	char clean[1024];
	size_t n;

	(void)vs_text_printable(clean, sizeof(clean), s);
	n = vs_text_width(clean);
	(void)fprintf(out, "%s%*s ", clean, n < width ? (int)(width - n) : 0, "");
}

void vs_term_event(FILE *out, const json_t *event, bool colour)
{
	const char *severity = text(event, "severity"), *on = "";
	char sentence[SENTENCE], time[32];

	/* To the second: 2026-11-21T06:34:23Z. The nanoseconds are in --json. */
	(void)snprintf(time, sizeof(time), "%.19sZ", text(event, "ts"));
	column(out, time, 20);
	if (colour && strcmp(severity, "error") == 0)
		on = "\033[1;31m";
	else if (colour && strcmp(severity, "warning") == 0)
		on = "\033[1;33m";
	(void)fputs(on, out);
	column(out, severity, 7);
	(void)fputs(*on ? "\033[0m" : "", out);
	column(out, text(event, "type"), 16);
	column(out, text(json_object_get(event, "vm"), "name"), 16);
	(void)vs_event_sentence(sentence, sizeof(sentence), event);
	(void)fprintf(out, "%s\n", sentence);
}

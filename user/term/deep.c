/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "term/deep.h"

#include <stdbool.h>
#include <string.h>

#define CELL 16
/* Who had less of the wait is left to --json. */
#define LEAST_SHARE 0.02
#define NAMED	    4

static const char *text(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "-";
}

static double number(const json_t *j, const char *key)
{
	return json_number_value(json_object_get(j, key));
}

static const char *duration(double us, char dst[CELL])
{
	if (us < 1000)
		(void)snprintf(dst, CELL, "%.0f us", us);
	else if (us < 1e6)
		(void)snprintf(dst, CELL, us < 1e4 ? "%.1f ms" : "%.0f ms", us / 1e3);
	else
		(void)snprintf(dst, CELL, "%.1f s", us / 1e6);
	return dst;
}

static void who_waited(FILE *out, const json_t *t)
{
	const char *role = text(t, "role");
	const json_t *index = json_object_get(t, "index");

	if (strcmp(role, "vcpu") == 0 && json_is_integer(index))
		(void)fprintf(out, "vCPU %lld", (long long)json_integer_value(index));
	else
		(void)fprintf(out, "%s %s(%lld)", strcmp(role, "vcpu") == 0 ? "vCPU" : role,
			      text(t, "name"), (long long)number(t, "tid"));
}

static void who_ran(FILE *out, const json_t *t)
{
	const json_t *ran = json_object_get(t, "ran_instead"), *r;
	double waited = number(t, "waited_us"), unknown = number(t, "unexplained_us");
	const char *separator = ": ";
	size_t i;

	json_array_foreach(ran, i, r)
	{
		bool idle = number(r, "pid") == 0;

		if (i == NAMED || number(r, "share") < LEAST_SHARE)
			break;
		(void)fprintf(out, "%s%.0f %% ", separator, number(r, "share") * 100);
		(void)fputs(idle ? "nobody, the CPU was idle" : text(r, "comm"), out);
		if (!idle)
			(void)fprintf(out, "(%lld)", (long long)number(r, "tid"));
		if (json_is_string(json_object_get(r, "vm"))) {
			(void)fputs(" of VM ", out);
			(void)fputs(text(r, "vm"), out);
		}
		separator = ", ";
	}
	if (waited > 0 && unknown >= waited * LEAST_SHARE)
		(void)fprintf(out, "%s%.0f %% not known", separator, unknown / waited * 100);
}

void vs_term_deep(FILE *out, const json_t *deep, const char *bold, const char *plain)
{
	const json_t *threads = json_object_get(deep, "threads"), *t;
	double seconds = number(deep, "duration_s");
	bool any = false;
	size_t i;

	if (!json_is_object(deep))
		return;
	(void)fprintf(out, "\n%swaiting for a CPU%s  %.1f s of every context switch\n", bold, plain,
		      seconds);
	json_array_foreach(threads, i, t)
	{
		const json_t *p99 = json_object_get(json_object_get(t, "run_delay_us"), "p99");
		char waited[CELL], tail[CELL];

		/* Below a thousandth of the time nobody is kept waiting. */
		if (number(t, "waited_us") < seconds * 1e3)
			continue;
		(void)fputs("  VM ", out);
		(void)fputs(text(t, "vm"), out);
		(void)fputc(' ', out);
		who_waited(out, t);
		(void)fprintf(out, " waited %s of %.1f s", duration(number(t, "waited_us"), waited),
			      seconds);
		if (json_is_number(p99))
			(void)fprintf(out, " (p99 %s)", duration(json_number_value(p99), tail));
		who_ran(out, t);
		(void)fprintf(out, "%s\n", json_is_true(json_object_get(t, "waiting")) ?
						   ", and waits still" :
						   "");
		any = true;
	}
	if (!any)
		(void)fprintf(out, "  no thread of a VM waited for as much as 0.1 %% of the time\n");
}

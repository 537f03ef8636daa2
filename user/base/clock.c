/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/clock.h"

#include <stdio.h>

void vs_clock_rfc3339(uint64_t wall_ns, char ret_text[static VS_RFC3339__N])
{
	time_t s = (time_t)(wall_ns / VS_NS_PER_S);
	struct tm tm;
	size_t n;

	(void)gmtime_r(&s, &tm);
	n = strftime(ret_text, VS_RFC3339__N, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(ret_text + n, VS_RFC3339__N - n, ".%09uZ",
		       (unsigned int)(wall_ns % VS_NS_PER_S));
}

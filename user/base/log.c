/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static enum vs_log_level log_level = VS_LOG_INFO;

void vs_log_set_level(enum vs_log_level level)
{
	log_level = level;
}

enum vs_log_level vs_log_level(void)
{
	return log_level;
}

void vs_log(enum vs_log_level level, const char *fmt, ...)
{
	int saved = errno;
	char line[1024];
	va_list ap;

	if (level > log_level)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	/* One write per line: lines of two processes do not mix. */
	(void)fprintf(stderr, "virtscope: %s\n", line);
	errno = saved;
}

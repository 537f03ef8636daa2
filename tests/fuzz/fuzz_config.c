/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as virtscope.yaml (make fuzz). What the walk finds fine libcyaml must
 * accept, what comes out must be possible, and written out it must read back to
 * the same; what is refused has a problem that says why, fit for a terminal.
 */
#include "app/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void refused(const struct vs_config_problems *p)
{
	char text[1000];

	if (!p->n)
		abort();
	for (uint32_t i = 0; i < p->n; i++) {
		vs_config_problem_text("f", &p->problem[i], text, sizeof(text));
		for (const char *c = text; *c; c++)
			if ((unsigned char)*c < 0x20 || *c == 0x7f)
				abort();
		/* libcyaml's own refusal: the walk let through what it should have told */
		if (!p->problem[i].line)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct vs_config first, second;
	struct vs_config_problems problems = { 0 };
	char *text = NULL;
	size_t n = 0;
	FILE *to;

	if (vs_config_parse((const char *)data, size, &first, &problems)) {
		refused(&problems);
		vs_config_problems_done(&problems);
		return 0;
	}
	to = open_memstream(&text, &n);
	vs_config_write(to, &first);
	(void)fclose(to);
	if (vs_config_parse(text, n, &second, &problems) || memcmp(&first, &second, sizeof(first)))
		abort();
	free(text);
	return 0;
}

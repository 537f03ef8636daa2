/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_check_config.c - is the configuration right, and what does it come to? */
#include "app/config.h"
#include "app/options.h"
#include "base/cleanup.h"

#include <errno.h>
#include <string.h>

static void vs_cleanup_json(json_t **j)
{
	json_decref(*j);
}

static json_t *problem_json(const struct vs_config_problem *p)
{
	return json_pack("{s:o,s:s?,s:s?,s:s?}", "line", p->line ? json_integer(p->line) : json_null(),
			 "key", p->key, "what", p->what, "allowed", p->allowed);
}

/* For programs: everything in one object. @file: NULL if the defaults hold */
static void say_json(const char *file, const struct vs_config *c,
		     const struct vs_config_problems *problems)
{
	vs_cleanup(vs_cleanup_json) json_t *list = json_array();
	vs_cleanup(vs_cleanup_json) json_t *top = NULL;

	for (uint32_t i = 0; i < problems->n; i++)
		(void)json_array_append_new(list, problem_json(&problems->problem[i]));
	top = json_pack("{s:s?,s:b,s:O,s:I,s:o}", "file", file, "fine", c != NULL, "problems", list,
			"problems_untold", (json_int_t)problems->more, "effective",
			c ? vs_config_json(c) : json_null());
	if (top)
		(void)json_dumpf(top, stdout, JSON_INDENT(2));
	(void)printf("\n");
}

int vs_cmd_check_config(const struct vs_options *options)
{
	const char *file = options->operand ? options->operand : VS_CONFIG_PATH;
	vs_autofree struct vs_config *c = malloc(sizeof(*c));
	struct vs_config_problems problems = { 0 };
	int r;

	if (options->print_defaults) {
		vs_config_write_example(stdout);
		return VS_EXIT_OK;
	}
	r = c ? vs_config_read(file, c, &problems) : -ENOMEM;
	/* No file at the usual place is no mistake: run does without, too. */
	if (r == -ENOENT && !options->operand) {
		vs_config_problems_done(&problems);
		vs_config_defaults(c);
		file = NULL;
		r = 0;
	}
	if (options->json) {
		say_json(file, r ? NULL : c, &problems);
	} else if (r) {
		vs_config_problems_tell(file, "", &problems); /* FILE:LINE: first, for editors */
	} else {
		if (file)
			(void)printf(options->effective ? "# %s: fine\n" : "%s: fine\n", file);
		else
			(void)printf("# no " VS_CONFIG_PATH ": the defaults hold\n");
		if (options->effective)
			vs_config_write(stdout, c);
	}
	vs_config_problems_done(&problems);
	return r ? VS_EXIT_USAGE : VS_EXIT_OK;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* options_parse.c - from words to options, and the table as help and as JSON. */
#include "app/options_table.h"
#include "app/config.h"
#include "base/log.h"
#include "model/event_types.h"
#include "serve/control.h"
#include "source/window.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct vs_option_row *find(const struct vs_command *c, const char *name, size_t len,
				 char letter)
{
	for (int i = 0; i < vs_option_rows_n; i++) {
		const struct vs_option_row *o = &vs_option_rows[i];

		if (!(o->commands & c->bit))
			continue;
		if (letter ? o->letter == letter :
			     strlen(o->name) == len && memcmp(o->name, name, len) == 0)
			return o;
	}
	return NULL;
}

/* Remembers what the flag overrides. More than there is room for are more than a
 * list takes, too. */
static int override(struct vs_options *o, const char *key, const char *value)
{
	bool append = false;

	if (o->overrides_n == VS_OVERRIDE__N)
		return -EINVAL;
	for (uint32_t i = 0; i < o->overrides_n; i++)
		append |= strcmp(o->overrides[i].key, key) == 0;
	o->overrides[o->overrides_n++] =
		(struct vs_override){ key, value ? value : "true", append };
	return 0;
}

int vs_options_parse(const struct vs_command *command, int argc, char **argv,
		     struct vs_options *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->duration_s = 0;
	ret->control = VS_CONTROL_PATH;
	ret->live.sample_shift = 255;
	for (int i = 0; i < argc; i++) {
		const char *arg = argv[i], *value = NULL;
		const struct vs_option_row *o = NULL;

		if (arg[0] == '-' && arg[1] == '-' && arg[2]) {
			size_t len = strcspn(arg + 2, "=");

			o = len ? find(command, arg + 2, len, 0) : NULL;
			if (arg[2 + len] == '=')
				value = arg + 3 + len;
		} else if (arg[0] == '-' && arg[1] && arg[1] != '-') {
			o = find(command, NULL, 0, arg[1]);
			if (arg[2])
				value = arg + 2;
		}
		if (!o && arg[0] && arg[0] != '-' && !ret->operand) {
			o = find(command, "", 0, 0);
			value = arg;
		}
		if (!o) {
			vs_error("%s: '%s' is not understood (see virtscope %s -h)", command->name,
				 arg, command->name);
			return -EINVAL;
		}
		if (!o->arg && value) {
			vs_error("%s: --%s takes no value", command->name, o->name);
			return -EINVAL;
		}
		if (o->arg && !value) {
			if (i + 1 == argc) {
				vs_error("%s: --%s needs a value: %s", command->name, o->name,
					 o->allowed);
				return -EINVAL;
			}
			value = argv[++i];
		}
		if (o->set(ret, value) || (vs_option_key(o) && override(ret, vs_option_key(o), value))) {
			vs_error("%s: --%s '%s' is not possible: it takes %s", command->name,
				 o->name, value, o->allowed);
			return -EINVAL;
		}
	}
	if (ret->deep && ret->duration_s > VS_DEEP_MAX_S) {
		vs_error("%s: --deep for %g s is not possible: it costs everybody on this host, 60 s "
			 "are the most",
			 command->name, ret->duration_s);
		return -EINVAL;
	}
	if (ret->duration_s == 0)
		ret->duration_s = ret->deep ? 10 : 5;
	return 0;
}

void vs_options_help(const struct vs_command *command)
{
	if (!command) {
		(void)printf("virtscope - what the virtual machines of this host send, receive, lose and wait for\n\n"
			     "usage: virtscope COMMAND [OPTION]...\n\n");
		for (const struct vs_command *c = vs_commands; c->name; c++)
			(void)printf("  %-13s %s\n", c->name, c->summary);
		(void)printf("\n  virtscope COMMAND -h     teaches the command\n"
			     "  virtscope --version      says which virtscope this is\n\n"
			     "Exit status: 0 fine, 1 failed, 2 bad usage or configuration, 3 not permitted.\n");
		return;
	}
	(void)printf("usage: virtscope %s [OPTION]...%s\n\n%s\n\n%s\n\n", command->name,
		     find(command, "", 0, 0) ? " [FILE]" : "", command->summary, command->details);
	for (int i = 0; i < vs_option_rows_n; i++) {
		const struct vs_option_row *o = &vs_option_rows[i];
		char left[48];

		if (!(o->commands & command->bit) || !o->help)
			continue;
		(void)snprintf(left, sizeof(left), "%s%s%s%s", *o->name ? "--" : "", o->name,
			       *o->name && o->arg ? " " : "", o->arg ? o->arg : "");
		if (o->letter)
			(void)printf("  -%c, %-20s %s", o->letter, left, o->help);
		else
			(void)printf("      %-20s %s", left, o->help);
		if (vs_option_key(o) && command->bit == VS_CMD_RUN)
			(void)printf(" [%s]", vs_option_key(o));
		(void)printf("\n");
	}
}

static json_t *events_json(void)
{
	json_t *events = json_array();

	for (const struct vs_event_kind *t = vs_event_types; t->name; t++)
		(void)json_array_append_new(events, json_pack("{s:s,s:s,s:s,s:s}", "type", t->name,
							      "severity", t->severity, "message_id",
							      t->message_id, "sentence", t->sentence));
	return events;
}

json_t *vs_options_json(void)
{
	json_t *commands = json_array();

	for (const struct vs_command *c = vs_commands; c->name; c++) {
		json_t *list = json_array();

		for (int i = 0; i < vs_option_rows_n; i++) {
			const struct vs_option_row *o = &vs_option_rows[i];
			const char letter[2] = { o->letter, '\0' };

			if (!(o->commands & c->bit) || !o->help)
				continue;
			(void)json_array_append_new(
				list, json_pack("{s:s,s:s?,s:s?,s:s,s:s?,s:s?}", "name", o->name,
						"letter", o->letter ? letter : NULL, "arg", o->arg,
						"help", o->help, "allowed", o->allowed, "key",
						vs_option_key(o)));
		}
		(void)json_array_append_new(commands,
					    json_pack("{s:s,s:s,s:s,s:o}", "name", c->name, "summary",
						      c->summary, "details", c->details, "options",
						      list));
	}
	return json_pack("{s:o,s:o,s:o}", "commands", commands, "keys", vs_config_keys_json(),
			 "events", events_json());
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c - table of contents: pick the command, parse, run. */
#include "app/options.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef VS_VERSION
#define VS_VERSION "unknown"
#endif

const struct vs_command vs_commands[] = {
	{ "report", VS_CMD_REPORT, "look at all VMs once, for some seconds",
	  "Shows, per VM: packets, drops with their reasons, how long packets wait for the\n"
	  "guest, and disk requests with their latency. Asks the running daemon if there is\n"
	  "one, else attaches its own programs for the time.\n\n"
	  "  virtscope report -d 10              ten seconds, as text\n"
	  "  virtscope report --json | jq .vms   for programs",
	  vs_cmd_report },
	{ "run", VS_CMD_RUN, "watch all VMs and write events (the daemon, in the foreground)",
	  "Writes one JSON object a line for each VM, vNIC and disk that comes or goes and\n"
	  "for each burst of drops (docs/EVENTS.md). Ends cleanly on SIGTERM.\n\n"
	  "  virtscope run                       events to stdout\n"
	  "  virtscope run -e /var/log/virtscope.jsonl",
	  vs_cmd_run },
	{ "events", VS_CMD_EVENTS, "what the running daemon saw happen",
	  "Prints the events that the daemon remembers, the last 10,000 or so, and with -f\n"
	  "those to come (docs/EVENTS.md).\n\n"
	  "  virtscope events -f                 from now on, like tail -f\n"
	  "  virtscope events --vm web-3 --type 'drop.*'\n"
	  "  virtscope events --json | jq .data  for programs",
	  vs_cmd_events },
	{ "doctor", VS_CMD_DOCTOR, "what this host's kernel allows, and what is lost by it",
	  "Finds out every fact that the probe depends on, loads what would be loaded, takes\n"
	  "it out again, and says what is measured how and what is not.",
	  vs_cmd_doctor },
	{ "check-config", VS_CMD_CHECK_CONFIG, "is the configuration right, and what does it come to",
	  "Reads FILE, /etc/virtscope/virtscope.yaml if none is named, as virtscope run would,\n"
	  "and says each thing that is wrong with its line, its key and what is allowed.\n"
	  "virtscope.yaml(5) explains the keys.\n\n"
	  "  virtscope check-config && systemctl reload virtscope\n"
	  "  virtscope check-config --print-defaults > virtscope.yaml",
	  vs_cmd_check_config },
	{ NULL, 0, NULL, NULL, NULL },
};

static const struct vs_command *find(const char *name)
{
	for (const struct vs_command *c = vs_commands; c->name; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

static int dump_tables(void)
{
	json_t *tables = vs_options_json();
	int r = tables ? json_dumpf(tables, stdout, JSON_INDENT(1)) : -1;

	json_decref(tables);
	return r ? VS_EXIT_FAILED : VS_EXIT_OK;
}

int main(int argc, char **argv)
{
	/* static: 16 KiB of names */
	static struct vs_options options;
	const struct vs_command *command;
	int status;

	if (argc < 2) {
		vs_error("no command (virtscope -h lists them; virtscope report is a good first one)");
		return VS_EXIT_USAGE;
	}
	if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		vs_options_help(argc > 2 ? find(argv[2]) : NULL);
		return VS_EXIT_OK;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		(void)printf("virtscope %s\n", VS_VERSION);
		return VS_EXIT_OK;
	}
	if (strcmp(argv[1], "--dump-tables") == 0) /* for scripts/gen-man, gen-completion */
		return dump_tables();
	command = find(argv[1]);
	if (!command) {
		vs_error("'%s' is not a command (see virtscope -h)", argv[1]);
		return VS_EXIT_USAGE;
	}
	if (vs_options_parse(command, argc - 2, argv + 2, &options))
		return VS_EXIT_USAGE;
	if (options.help) {
		vs_options_help(command);
		return VS_EXIT_OK;
	}
	if (options.verbosity)
		vs_log_set_level(VS_LOG_DEBUG);
	status = command->run(&options);
	if (fflush(stdout) || ferror(stdout))
		return status ? status : VS_EXIT_FAILED;
	return status;
}

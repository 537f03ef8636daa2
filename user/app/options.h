/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * options.h - the command line: one table for parser and help.
 *
 * Layer:   app
 * State:   none
 * Threads: any
 */
#pragma once
#include "detect/detect.h"
#include "serve/http.h"
#include "source/live.h"
#include "source/synthetic.h"

#include <jansson.h>
#include <stdbool.h>

enum vs_exit { VS_EXIT_OK = 0, VS_EXIT_FAILED = 1, VS_EXIT_USAGE = 2, VS_EXIT_PERMISSION = 3 };

/* A flag that overrides a key of the configuration (config.h). */
struct vs_override {
	const char *key, *value;
	bool append; /* to a list that an earlier flag began */
};
#define VS_OVERRIDE__N 128

struct vs_options {
	bool help, version;
	bool json, histogram, standalone, require_bpf;
	bool effective, print_defaults;
	const char *config;  /* --config; NULL: VS_CONFIG_PATH if it is there */
	const char *operand; /* what follows the options; NULL: nothing */
	bool deep;
	bool one_process;
	const char *user; /* NULL: stay who we are */
	double duration_s;
	bool journal;
	const char *events; /* NULL: to no file */
	const char *control;
	bool follow;
	const char *vm, *type; /* NULL: any */
	uint64_t since_seq;    /* 0: any */
	uint32_t lines;	       /* 0: all, or as --follow has it */
	int sample_n; /* 0: adapt */
	struct vs_synthetic_options synthetic; /* vms 0: the real ones */
	int verbosity;
	struct vs_live_options live;
	struct vs_detect_options detect;
	struct vs_http_options http;
	char forced_names[64][256];
	struct vs_label_rules labels; /* what live.labels points to */
	uint32_t overrides_n;
	struct vs_override overrides[VS_OVERRIDE__N]; /* of run */
};

struct vs_command {
	const char *name;
	unsigned int bit; /* as in the option table */
	const char *summary;
	const char *details;
	int (*run)(const struct vs_options *options); /* Return: enum vs_exit */
};

extern const struct vs_command vs_commands[]; /* ends with name NULL; main.c */

/**
 * vs_options_parse() - fill @ret from the arguments after the subcommand.
 *
 * Return: 0, or -EINVAL after saying on stderr what is wrong and what to do.
 */
int vs_options_parse(const struct vs_command *command, int argc, char **argv,
		     struct vs_options *ret);

/* Writes usage of one command, or of the program when @command is NULL. */
void vs_options_help(const struct vs_command *command);

/* Commands with their options, keys of the configuration, types of events: what man pages
 * and completion are made from. New reference or NULL. */
json_t *vs_options_json(void);

int vs_cmd_report(const struct vs_options *options);
int vs_cmd_run(const struct vs_options *options);
int vs_cmd_events(const struct vs_options *options);
int vs_cmd_doctor(const struct vs_options *options);
int vs_cmd_check_config(const struct vs_options *options);

#define VS_CMD_REPORT 1u
#define VS_CMD_RUN    2u
#define VS_CMD_DOCTOR 4u
#define VS_CMD_EVENTS 8u
#define VS_CMD_CHECK_CONFIG 16u

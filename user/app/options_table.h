/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * options_table.h - the table of options, for the files that make up options.h.
 *
 * Layer:   app, private to options*.c
 * State:   none
 * Threads: any
 */
#pragma once
#include "app/options.h"

struct vs_option_row {
	const char *name; /* "": a word that is no option, once */
	char letter;	     /* 0: none */
	const char *arg;     /* NULL: a switch */
	unsigned int commands;
	int (*set)(struct vs_options *o, const char *value); /* 0 or -EINVAL */
	const char *help; /* NULL: not for people */
	const char *allowed; /* what a value must look like */
};

extern const struct vs_option_row vs_option_rows[];
extern const int vs_option_rows_n;

/* The key of the configuration (config.h) that an option of run overrides, or NULL. */
const char *vs_option_key(const struct vs_option_row *option);

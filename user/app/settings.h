/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * settings.h - what holds: the configuration file, with the flags over it.
 *
 * Layer:   app
 * State:   none
 * Threads: main
 */
#pragma once
#include "app/config.h"
#include "app/options.h"

/* The state of a daemon: its `now` borrows from its `config`, so neither is copied. */
struct vs_settings {
	const struct vs_options *given; /* the command line; borrowed */
	struct vs_config config;
	const char *detail[64]; /* metrics.detail as the exporter wants it */
	struct vs_options now; /* as given, with all that the configuration says */
};

/**
 * vs_settings_open() - defaults, then the file, then the flags.
 * @given: of run; its config names the file, else VS_CONFIG_PATH is read if there is one
 * @ret:   free()
 *
 * Return: 0, -EINVAL for a bad file or flags that do not go with it, or -errno of
 * reading it. Logs: yes, each problem.
 */
int vs_settings_open(const struct vs_options *given, struct vs_settings **ret);

/**
 * vs_settings_reload() - what SIGHUP does to the settings.
 *
 * Reads again, and says per key on stderr what changed and when that takes effect.
 * Keys that need a restart keep their old value, so that the next reload names
 * them again. Return: 0, or -errno with @s untouched. Logs: yes.
 */
int vs_settings_reload(struct vs_settings *s);

/* Events go to standard output? */
bool vs_settings_stdout(const struct vs_config *c);

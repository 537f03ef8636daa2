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

/**
 * vs_settings_read() - defaults, then the file, then the flags.
 * @options: of run; its config names the file, else VS_CONFIG_PATH is read if there is one
 * @ret:     on failure untouched
 *
 * Return: 0, -EINVAL for a bad file or flags that do not go with it, or -errno of
 * reading it. Logs: yes, each problem.
 */
int vs_settings_read(const struct vs_options *options, struct vs_config *ret);

/* Events go to standard output? */
bool vs_settings_stdout(const struct vs_config *c);

/* The source's part of @c. @ret borrows from @c and, for names, from @options. */
void vs_settings_live(const struct vs_config *c, struct vs_options *options);

/**
 * vs_settings_reload() - what SIGHUP does to the settings.
 * @options: as for vs_settings_read()
 * @c:       what holds; afterwards what was read, but keys that need a restart keep
 *           their old value
 *
 * Says per key on stderr what changed, and when that takes effect. Return: 0, or
 * -errno with @c untouched. Logs: yes.
 */
int vs_settings_reload(const struct vs_options *options, struct vs_config *c);

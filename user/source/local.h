/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * local.h - the running kernel, looked at by this very process, as a source.
 *
 * Layer:   source
 * State:   behind the struct vs_source
 * Threads: one
 */
#pragma once
#include "base/loop.h"
#include "source/live.h"
#include "source/source.h"

/**
 * vs_local_new() - as vs_live_new(), with what happens told as events.
 * @listener: copied; NULL: nobody is told. VMs that are found, and probes that are not what was wished
 *            for, are told of before it returns
 *
 * Return: 0 or -errno. Logs: yes.
 */
int vs_local_new(struct vs_loop *loop, const struct vs_live_options *options,
		 const struct vs_source_listener *listener, struct vs_source *ret);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * permission.h - may we look at all, and with BPF?
 *
 * Layer:   app
 * State:   none
 * Threads: any
 */
#pragma once
#include "source/source.h"

#include <stdbool.h>

/* Root, or somebody who was given BPF. Logs: what to do if not. */
bool vs_permitted(const char *command);

/* Says it when only tier 0 works. Return: false when BPF was required. */
bool vs_tier_accepted(const struct vs_source *source, bool require_bpf);

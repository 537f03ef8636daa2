/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * deep.h - the deep window's programs: in the kernel for as long as somebody looks.
 *
 * Every context switch, wake-up and migration of the host passes them, so they
 * are loaded when a window opens and removed when it closes. Windows that
 * overlap share one; figures are cumulative and each takes its own difference.
 *
 * Layer:   probe
 * State:   struct vs_deep: object, links, the threads that are watched
 * Threads: one
 */
#pragma once
#include "model/deep.h"
#include "probe/loader.h"

struct vs_deep;

/**
 * vs_deep_open() - load what @plan says of sched.deep.
 * @threads: how many to make room for, at most; a few that come later fit, too
 *
 * Return: 0, -ENOTSUP when the plan has it absent, or -errno. Logs: never.
 */
int vs_deep_open(const struct vs_maps *maps, const struct vs_plan *plan, size_t threads,
		 struct vs_deep **ret);
void vs_deep_close(struct vs_deep **deep);

/* Attaches the programs, unless they are. A reading taken before is exact: all
 * zero. Return: 0 or -errno. */
int vs_deep_start(struct vs_deep *deep);

/* Watches the threads of @s, too. Return: how many found no room, or -ENOMEM. */
int vs_deep_watch(struct vs_deep *deep, const struct vs_sample *s);

/*
 * All figures so far; @ret is done and filled anew. What goes on meanwhile is in
 * some of them and not in others, unless vs_deep_stop() came first.
 * Return: 0 or -ENOMEM.
 */
int vs_deep_read(struct vs_deep *deep, struct vs_deep_sample *ret);
/* Takes the programs off their hooks; figures stay. For a last reading. */
void vs_deep_stop(struct vs_deep *deep);

/* What is attached, with run time and misses. Return: how many were written to @ret. */
uint32_t vs_deep_programs(const struct vs_deep *deep, struct vs_program_sample *ret, uint32_t size);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tasks.h - the iterator over the tasks that work for VMs: load it, read it.
 *
 * Layer:   probe
 * State:   struct vs_tasks: the object, its link
 * Threads: one
 */
#pragma once
#include "probe/loader.h"

struct vs_tasks;

/* @maps: the loader's; must outlive it. Return: 0 or -errno. Logs: never. */
int vs_tasks_open(const struct vs_maps *maps, struct vs_tasks **ret);
void vs_tasks_close(struct vs_tasks **tasks);

/* One pass: @fn is called for each thread of a VM. Return: 0 or -errno. */
int vs_tasks_read(const struct vs_tasks *tasks, void (*fn)(void *data, const struct vs_task_row *row),
		  void *data);

/* Kernel thread @tid works for @vm; NULL: no longer. */
void vs_tasks_set_worker(const struct vs_tasks *tasks, uint32_t tid, const struct vs_vm_ref *vm);

/* What is attached, with run time. Return: how many were written to @ret. */
uint32_t vs_tasks_programs(const struct vs_tasks *tasks, struct vs_program_sample *ret, uint32_t size);

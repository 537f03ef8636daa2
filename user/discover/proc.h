/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * proc.h - processes as /proc shows them: is it a VMM, since when, whose cgroup.
 *
 * Layer:   discover
 * State:   none
 * Threads: any. Reads of /proc block for microseconds.
 */
#pragma once
#include "discover/cmdline.h"

#include <stdbool.h>
#include <stdint.h>

/* Names that VMMs run under; by the first letters of the process's own name
 * (16 bytes, the kernel cuts it) or of argv[0]. */
extern const char *const vs_vmm_names[];

/* Start time in clock ticks since boot: with the pid, a process's identity.
 * Return: 0, or -ESRCH when there is no such process. */
int vs_proc_start_time(uint32_t pid, uint64_t *ret);

bool vs_proc_is_vmm(uint32_t pid);

/* Return: 0 or -ESRCH. */
int vs_proc_cmdline(uint32_t pid, struct vs_cmdline *ret);

/**
 * vs_proc_cgroups() - ids of the I/O cgroups that hold this process and no other.
 * @ret: up to 2: of blkio on cgroup v1, of the unified hierarchy
 *
 * A cgroup shared with others names nobody; the root and, on v2, a cgroup
 * without the io controller neither. Return: how many.
 */
int vs_proc_cgroups(uint32_t pid, uint64_t ret[static 2]);

/* Calls @fn for each process. Return: 0 or -errno. */
int vs_proc_each(void (*fn)(void *data, uint32_t pid), void *data);

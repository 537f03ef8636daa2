/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * threads.h - what a thread of a VMM is for, and the threads as /proc shows them.
 *
 * Layer:   discover
 * State:   none
 * Threads: any. Reads of /proc block for microseconds.
 */
#pragma once
#include "model/sample.h"

/**
 * vs_thread_role() - from what the kernel knows of a thread, else from its name.
 * @flags:    PF_* of the task; 0: not known
 * @guest_ns: time that it ran a guest's code; only a vCPU of KVM has any
 * @ret_index: number of the vCPU as its name has it, else -1
 *
 * Names are the VMM's choice (QEMU's debug-threads=on, which libvirt sets, and
 * those of other VMMs): they say more than the kernel where there are any, and
 * a vCPU that has run is known without.
 */
enum vs_role vs_thread_role(const char *name, uint32_t flags, uint64_t guest_ns, int *ret_index);

/* One thread with run_ns, run_delay_ns, slices and name. @tgid: its process, or
 * 0 for one that is named by its tid alone. Return: 0, -ESRCH, or -ENOENT where
 * the kernel keeps no such accounts. */
int vs_thread_read(uint32_t tgid, uint32_t tid, struct vs_thread_sample *ret);

/* Parses /proc/TID/schedstat. Return: 0 or -EINVAL. */
int vs_thread_parse_schedstat(const char *text, struct vs_thread_sample *ret);

/* Calls @fn for each thread of a process. Return: 0 or -errno. */
int vs_threads_each(uint32_t pid, void (*fn)(void *data, uint32_t tid), void *data);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * files.h - who holds a tap or a KVM VM: one pass over all open files.
 *
 * Layer:   discover
 * State:   none
 * Threads: the thread's namespace changes for moments in the /proc way
 */
#pragma once
#include "abi.h"

typedef void (*vs_files_fn)(void *data, const struct vs_file *row);

/**
 * vs_files_scan() - call @fn for each tap and KVM VM that a process has open.
 * @iter_fd: link of the BPF iterator, or -1 to walk /proc
 *
 * Without the iterator, dev is 0 in all rows. Return: 0 or -errno. Logs: never.
 */
int vs_files_scan(int iter_fd, vs_files_fn fn, void *data);

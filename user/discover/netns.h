/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netns.h - visiting network namespaces without keeping them alive.
 *
 * A descriptor or socket in a foreign namespace pins it: everything here is
 * opened for one visit and closed at its end.
 *
 * Layer:   discover
 * State:   the namespace of the calling thread, restored by vs_netns_leave()
 * Threads: the caller's own namespace changes during a visit, nobody else's
 */
#pragma once
#include <stdint.h>

/* Cookie of the thread's current namespace, its inode number where the kernel
 * tells no cookie (before 5.14). Return: 0 or -errno. */
int vs_netns_cookie(uint64_t *ret);

struct vs_netns_visit {
	int home_fd;
};

/**
 * vs_netns_enter() - go to the namespace with @cookie.
 * @pid:    a process that holds the tap
 * @tun_fd: its descriptor number of the tap
 *
 * Tries the process's own namespace, then the one that the tap itself names.
 * Return: 0, -ENOENT if neither is the one asked for, or -errno. On success
 * vs_netns_leave() must follow.
 */
int vs_netns_enter(struct vs_netns_visit *visit, uint32_t pid, uint32_t tun_fd, uint64_t cookie);
void vs_netns_leave(struct vs_netns_visit *visit);

/* A copy of descriptor @fd of process @pid, or -errno. The caller closes it. */
int vs_netns_borrow_fd(uint32_t pid, uint32_t fd);

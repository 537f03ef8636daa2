/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * privilege.h - give up, for good, what a process may do beyond others.
 *
 * What each process of virtscope keeps, and why, is in docs/SECURITY.md.
 *
 * Layer:   base
 * State:   the process's own
 * Threads: only while there is one: credentials are a thread's
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct vs_privilege_user {
	char name[33];
	uid_t uid;
	gid_t gid;
};

/* A bit of a set of capabilities; @name as in capabilities(7), with CAP_. */
#define VS_CAPABILITY(name) (1ull << (name))

/* Return: 0, -ENOENT if there is no such user, or another -errno. Logs: yes. */
int vs_privilege_find_user(const char *name, struct vs_privilege_user *ret);

/**
 * vs_privilege_drop() - become @user, keep no capabilities but @keep.
 * @user: with all of its groups; NULL: stay who we are. Only with @keep 0, since
 *        the kernel takes all capabilities from whoever leaves uid 0
 * @keep: VS_CAPABILITY() bits; what is not held is not gained
 *
 * Permitted and effective become @keep; inheritable and ambient empty; the
 * bounding set @keep where CAP_SETPCAP lets it (else no_new_privs alone keeps an
 * exec from gaining anything); uid 0 means nothing to an exec any more. The
 * process leaves no core and nobody of its own user can trace it, unless it stays
 * who it was. What was reached is read back, and is what the return tells.
 *
 * Return: 0, or -errno: then the process must not go on. Logs: yes.
 */
int vs_privilege_drop(const struct vs_privilege_user *user, uint64_t keep);

/**
 * vs_privilege_deny_calls() - a seccomp filter for the rest of the process's
 * life: no exec, no tracing of others, no bpf(), no mounts, modules, namespaces,
 * keys or clocks; each is answered with EPERM.
 *
 * Needs no_new_privs. Return: 0, -ENOSYS on a machine that it does not know, or
 * another -errno. Logs: no.
 */
int vs_privilege_deny_calls(void);

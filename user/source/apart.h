/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * apart.h - the running kernel, looked at by a process of its own, as a source.
 *
 * The probe process keeps the capabilities that loading, attaching and reading
 * /proc take, and is spoken to by nobody but this one. This process, which
 * speaks with the outside, needs none of them. Samples come through a memory
 * file that only the probe can write.
 *
 * The maps themselves are not handed over: bpf() on a map's descriptor is
 * refused to the unprivileged before Linux 5.19 where
 * kernel.unprivileged_bpf_disabled is set, as it is by default, and a sample is
 * more than maps (/proc, netlink, libvirt).
 *
 * Calls wait for the probe for 5 s at most. A probe that ended, is silent for
 * so long, or says what makes no sense is lost for good: the listener's lost()
 * is called once, and each call returns -EPIPE from then on.
 *
 * Layer:   source
 * State:   struct vs_apart, behind the struct vs_source
 * Threads: one
 */
#pragma once
#include "base/loop.h"
#include "source/live.h"
#include "source/source.h"

struct vs_apart;

/**
 * vs_apart_fork() - make the probe process. It does nothing yet.
 *
 * To be called early: the child has whatever memory and descriptors there are
 * (of these it closes all but stderr), and all privileges. Its settings are a
 * copy of @options as they are now.
 *
 * Return: 0 or -errno. Logs: yes.
 */
int vs_apart_fork(const struct vs_live_options *options, struct vs_apart **ret);

/**
 * vs_apart_start() - have it load and attach; wait until it has.
 * @listener: copied. VMs that are found are told of before it returns
 * @ret:      takes @apart, which is NULL then
 *
 * Return: 0 or -errno (@apart stays). Logs: yes, one of the two processes.
 */
int vs_apart_start(struct vs_apart **apart, struct vs_loop *loop,
		   const struct vs_source_listener *listener, struct vs_source *ret);

/* Ends the probe process and waits for it; for one that became no source. */
void vs_apart_free(struct vs_apart **apart);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvmstat.h - KVM's own statistics of each VM, in debugfs.
 *
 * /sys/kernel/debug/kvm/<tid>-<fd>/NAME: a directory per VM, named after the
 * thread that made it. An open file there holds a reference to the VM and would
 * keep it alive after its end, so each is opened, read and closed at once; that
 * costs some microseconds each, hence they are read for reports, not each second.
 *
 * Layer:   discover
 * State:   struct vs_kvmstat: which statistics this kernel has
 * Threads: one
 */
#pragma once
#include "model/sample.h"

#define VS_KVMSTAT_DIR "/sys/kernel/debug/kvm"

/* Is this one of a class of exits, or of what goes with them? */
bool vs_kvmstat_is_exit(const char *name);

/**
 * vs_kvmstat_names() - which statistics of interest lie in @dir.
 * Return: 0, or -errno: debugfs is not mounted, not permitted (lockdown), or
 * there is no KVM.
 */
int vs_kvmstat_names(const char *dir, struct vs_kvm_names *ret);

/* Can they be read? Under lockdown the directory can, and the files cannot.
 * Return: 0 or -errno. */
int vs_kvmstat_check(const char *dir);

/* Calls @fn for each VM's directory below @dir. Return: 0 or -errno. */
int vs_kvmstat_each(const char *dir, void (*fn)(void *data, uint32_t tid, const char *name),
		    void *data);

/* Adds the VM's values to @ret->value. Return: 0, or -errno with part of them
 * added: the VM has ended. */
int vs_kvmstat_read(const char *dir, const char *vm, const struct vs_kvm_names *names,
		    struct vs_kvm_sample *ret);

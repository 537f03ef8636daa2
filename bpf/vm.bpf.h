/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm.bpf.h - kernel object -> VM: the only place where ownership is looked up.
 */
#pragma once
#include "compat.bpf.h"
#include "maps.bpf.h"

/* A kernel thread that has borrowed a VMM's address space (vhost workers up to
 * 6.3) works for that VM. */
static __noinline struct vs_vm_ref *vm_of_kthread(void)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct mm_struct *mm;
	__u32 tgid;

	if (!(BPF_CORE_READ(t, flags) & VS_PF_KTHREAD))
		return 0;
	mm = BPF_CORE_READ(t, mm);
	if (!mm || !bpf_core_field_exists(mm->owner))
		return 0;
	tgid = BPF_CORE_READ(mm, owner, tgid);
	return bpf_map_lookup_elem(&vs_task, &tgid);
}

/* The VM that the current task works for, NULL for none. */
static __always_inline struct vs_vm_ref *vs_vm_of_current(void)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct vs_vm_ref *ref = bpf_map_lookup_elem(&vs_task, &tgid);

	if (ref)
		return ref;
	return vm_of_kthread();
}

/* Is this a device that a VMM may hold: tun, tap or macvtap? */
static __always_inline bool vs_is_tap(struct net_device *dev)
{
	const char *kind = BPF_CORE_READ(dev, rtnl_link_ops, kind);
	char k[8] = {};

	if (!kind || bpf_probe_read_kernel(k, sizeof(k), kind))
		return false;
	return (k[0] == 't' && k[1] == 'u' && k[2] == 'n' && !k[3]) ||
	       (k[0] == 'm' && k[3] == 'v' && k[4] == 't' && k[5] == 'a' && k[6] == 'p');
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm.bpf.h - kernel object -> VM: the only place where ownership is looked up.
 */
#pragma once
#include "compat.bpf.h"
#include "maps.bpf.h"

#define VS_PF_KTHREAD 0x00200000

/* The VM that the current task works for: a thread of the VMM, or a kernel
 * thread that has borrowed its address space (vhost workers up to 6.3). */
static __always_inline struct vs_vm_ref *vs_vm_of_current(void)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct vs_vm_ref *ref = bpf_map_lookup_elem(&vs_task, &tgid);
	struct task_struct *t;
	struct mm_struct *mm;

	if (ref)
		return ref;
	t = (void *)bpf_get_current_task();
	if (!(BPF_CORE_READ(t, flags) & VS_PF_KTHREAD))
		return 0;
	mm = BPF_CORE_READ(t, mm);
	if (!mm || !bpf_core_field_exists(mm->owner))
		return 0;
	tgid = BPF_CORE_READ(mm, owner, tgid);
	return bpf_map_lookup_elem(&vs_task, &tgid);
}

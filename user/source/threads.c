/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/threads.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "discover/kvmstat.h"
#include "discover/threads.h"
#include "probe/tasks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct worker {
	uint32_t tid;
	uint64_t vm_uid;
	uint32_t vm_slot;
	UT_hash_handle hh;
};

struct vs_threads {
	struct vs_inventory *inv;
	struct vs_tasks *tasks; /* NULL: /proc is read */
	struct worker *workers; /* by tid */
	struct vs_kvm_names kvm_names;
	bool kvm; /* kvm_names is filled; samples point at it */
};

int vs_threads_new(struct vs_inventory *inv, struct vs_plan *plan, struct vs_threads **ret)
{
	struct vs_plan_probe *p = &plan->probes[VS_PROBE_CPU_THREADS];
	struct vs_threads *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->inv = inv;
	if (p->programs_n) {
		r = vs_tasks_open(vs_loader_maps(inv->loader), &t->tasks);
		if (r) {
			p->state = VS_STATE_FALLBACK;
			p->programs_n = 0;
			(void)snprintf(p->reason, sizeof(p->reason), "/proc is read: load: %s",
				       strerror(-r));
			vs_warn("load probe '%s': %s; %s, ignoring", p->name, strerror(-r), p->lost);
		}
	}
	*ret = t;
	return 0;
}

static void forget(struct vs_threads *t, struct worker *w)
{
	if (t->tasks)
		vs_tasks_set_worker(t->tasks, w->tid, NULL);
	HASH_DEL(t->workers, w);
	free(w);
}

void vs_threads_free(struct vs_threads **threads)
{
	struct vs_threads *t = *threads;
	struct worker *w, *tmp;

	if (!t)
		return;
	HASH_ITER(hh, t->workers, w, tmp)
	{
		forget(t, w);
	}
	vs_tasks_close(&t->tasks);
	free(t);
	*threads = NULL;
}

int vs_threads_add_worker(struct vs_threads *t, uint32_t tid, const struct vs_vm_entry *vm)
{
	struct vs_vm_ref ref = { .vm = vm->slot, .gen = vm->gen };
	struct worker *w;

	HASH_FIND(hh, t->workers, &tid, sizeof(tid), w);
	if (!w) {
		w = calloc(1, sizeof(*w));
		if (!w)
			return -ENOMEM;
		w->tid = tid;
		HASH_ADD(hh, t->workers, tid, sizeof(w->tid), w);
	}
	w->vm_uid = vm->uid;
	w->vm_slot = vm->slot;
	if (t->tasks && vm->slot)
		vs_tasks_set_worker(t->tasks, tid, &ref);
	return 0;
}

void vs_threads_remove_worker(struct vs_threads *t, uint32_t tid)
{
	struct worker *w;

	HASH_FIND(hh, t->workers, &tid, sizeof(tid), w);
	if (w)
		forget(t, w);
}

struct fill {
	struct vs_threads *t;
	struct vs_sample *sample;
	const struct vs_vm_entry *vm;
	int r;
};

static void add(struct fill *f, const struct vs_vm_entry *vm, const struct vs_thread_sample *like,
		uint32_t flags, uint64_t guest_ns)
{
	struct vs_thread_sample *s = vs_sample_add_thread(f->sample);
	struct worker *w;
	int index;

	if (!s) {
		f->r = -ENOMEM;
		return;
	}
	*s = *like;
	s->vm_uid = vm->uid;
	s->role = (uint16_t)vs_thread_role(s->name, flags, guest_ns, &index);
	s->index = (int16_t)index;
	if (!f->t->workers)
		return;
	HASH_FIND(hh, f->t->workers, &s->tid, sizeof(s->tid), w);
	if (w && w->vm_uid == vm->uid)
		s->role = VS_ROLE_WORKER;
}

static void on_task(void *data, const struct vs_task_row *row)
{
	struct fill *f = data;
	const struct vs_vm_entry *vm =
		row->vm.vm < VS_VM__N ? f->t->inv->vm_by_slot[row->vm.vm] : NULL;
	struct vs_thread_sample s = { .start_ns = row->start_ns,
				      .run_ns = row->run_ns,
				      .run_delay_ns = row->run_delay_ns,
				      .slices = row->slices,
				      .waits_on = row->waits_on,
				      .tid = row->tid };

	if (!vm || vm->gen != row->vm.gen)
		return;
	(void)vs_text_utf8(s.name, sizeof(s.name), row->comm, strnlen(row->comm, sizeof(row->comm)));
	add(f, vm, &s, row->flags, row->guest_ns);
}

static void on_thread(void *data, uint32_t tid)
{
	struct fill *f = data;
	struct vs_thread_sample s = { 0 };

	if (!vs_thread_read(f->vm->pid, tid, &s))
		add(f, f->vm, &s, 0, 0);
}

static void walk(struct fill *f)
{
	const struct vs_vm_entry *vm;
	struct vs_vm_entry *v, *tmp;
	struct worker *w, *wtmp;

	HASH_ITER(hh, f->t->inv->vms, v, tmp)
	{
		f->vm = v;
		(void)vs_threads_each(v->pid, on_thread, f);
	}
	HASH_ITER(hh, f->t->workers, w, wtmp)
	{
		struct vs_thread_sample s = { 0 };

		vm = w->vm_slot < VS_VM__N ? f->t->inv->vm_by_slot[w->vm_slot] : NULL;
		if (vm && vm->uid == w->vm_uid && !vs_thread_read(0, w->tid, &s))
			add(f, vm, &s, VS_PF_KTHREAD, 0);
	}
}

static void tidy_workers(struct vs_threads *t)
{
	struct worker *w, *tmp;

	HASH_ITER(hh, t->workers, w, tmp)
	{
		const struct vs_vm_entry *vm =
			w->vm_slot < VS_VM__N ? t->inv->vm_by_slot[w->vm_slot] : NULL;

		if (!vm || vm->uid != w->vm_uid)
			forget(t, w);
	}
}

/* The directory is named after the thread that made the VM: mostly the main
 * one, whose number is the process's. */
static uint64_t vm_of_thread(const struct fill *f, uint32_t tid)
{
	const struct vs_vm_entry *vm;

	HASH_FIND(hh, f->t->inv->vms, &tid, sizeof(tid), vm);
	if (vm)
		return vm->uid;
	for (size_t i = 0; i < f->sample->threads_n; i++)
		if (f->sample->threads[i].tid == tid)
			return f->sample->threads[i].vm_uid;
	return 0;
}

static void on_kvm(void *data, uint32_t tid, const char *name)
{
	struct fill *f = data;
	uint64_t uid = vm_of_thread(f, tid);
	struct vs_kvm_sample *s;

	if (!uid)
		return;
	for (size_t i = 0; i < f->sample->kvm_n; i++)
		if (f->sample->kvm[i].vm_uid == uid) {
			/* A process of several VMs: their sum. */
			(void)vs_kvmstat_read(VS_KVMSTAT_DIR, name, &f->t->kvm_names,
					      &f->sample->kvm[i]);
			return;
		}
	s = vs_sample_add_kvm(f->sample);
	if (!s) {
		f->r = -ENOMEM;
		return;
	}
	s->vm_uid = uid;
	if (vs_kvmstat_read(VS_KVMSTAT_DIR, name, &f->t->kvm_names, s))
		f->sample->kvm_n--;
}

static void fill_kvm(struct fill *f)
{
	struct vs_threads *t = f->t;

	/* KVM may be a module that is loaded later. */
	if (!t->kvm)
		t->kvm = !vs_kvmstat_names(VS_KVMSTAT_DIR, &t->kvm_names);
	if (t->kvm && !vs_kvmstat_each(VS_KVMSTAT_DIR, on_kvm, f))
		f->sample->kvm_names = &t->kvm_names;
}

int vs_threads_fill(struct vs_threads *t, enum vs_look look, struct vs_sample *ret)
{
	struct fill f = { .t = t, .sample = ret };
	int r = 0;

	tidy_workers(t);
	if (look == VS_LOOK_WHOLE || (look == VS_LOOK_THREADS && t->tasks)) {
		ret->threads_ns = vs_clock_mono_ns();
		if (t->tasks)
			r = vs_tasks_read(t->tasks, on_task, &f);
		else
			walk(&f);
		if (r) {
			vs_warn("read the threads of VMs: %s; their CPU time is not known, ignoring",
				strerror(-r));
			ret->threads_n = 0;
			ret->threads_ns = 0;
		}
	}
	if (look == VS_LOOK_WHOLE)
		fill_kvm(&f);
	vs_sample_sort_threads(ret);
	return f.r;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probe/tasks.h"

#include "discover/iter.h"

#include "tasks.skel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

struct vs_tasks {
	struct tasks_bpf *skel;
	struct vs_attached attached;
};

int vs_tasks_open(const struct vs_maps *maps, struct vs_tasks **ret)
{
	struct vs_tasks *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->skel = tasks_bpf__open();
	r = t->skel ? vs_maps_share(maps, t->skel->obj) : -errno;
	if (!r) {
		(void)bpf_program__set_autoload(t->skel->progs.vs_tasks, true);
		r = tasks_bpf__load(t->skel);
	}
	if (!r)
		r = vs_attach(t->skel->obj, "vs_tasks", &t->attached);
	if (r) {
		vs_tasks_close(&t);
		return r;
	}
	*ret = t;
	return 0;
}

void vs_tasks_close(struct vs_tasks **tasks)
{
	struct vs_tasks *t = *tasks;

	if (!t)
		return;
	(void)bpf_link__destroy(t->attached.link);
	tasks_bpf__destroy(t->skel);
	free(t);
	*tasks = NULL;
}

struct reader {
	void (*fn)(void *data, const struct vs_task_row *row);
	void *data;
};

static void on_row(void *data, const void *row)
{
	const struct reader *r = data;

	r->fn(r->data, row);
}

int vs_tasks_read(const struct vs_tasks *tasks, void (*fn)(void *data, const struct vs_task_row *row),
		  void *data)
{
	struct reader r = { fn, data };

	return vs_iter_read(bpf_link__fd(tasks->attached.link), sizeof(struct vs_task_row), on_row, &r);
}

void vs_tasks_set_worker(const struct vs_tasks *tasks, uint32_t tid, const struct vs_vm_ref *vm)
{
	int map = bpf_map__fd(tasks->skel->maps.vs_worker);

	if (vm)
		(void)bpf_map_update_elem(map, &tid, vm, BPF_ANY);
	else
		(void)bpf_map_delete_elem(map, &tid);
}

uint32_t vs_tasks_programs(const struct vs_tasks *tasks, struct vs_program_sample *ret, uint32_t size)
{
	return vs_attached_programs(&tasks->attached, 1, ret, size);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probe/kcaps.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *vs_tp_name(enum vs_tp tp)
{
	static const char *const names[] = {
#define X(name) #name,
		VS_TPS(X)
#undef X
	};

	return names[tp];
}

/* Arguments of a tracepoint: typedef btf_trace_X -> pointer -> prototype, whose
 * first parameter is the tracepoint's own data. */
static uint8_t count_args(const struct btf *btf, const char *tp)
{
	char name[96];
	const struct btf_type *t;
	int id;

	(void)snprintf(name, sizeof(name), "btf_trace_%s", tp);
	id = btf__find_by_name_kind(btf, name, BTF_KIND_TYPEDEF);
	t = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;
	t = t ? btf__type_by_id(btf, t->type) : NULL;
	t = t && btf_is_ptr(t) ? btf__type_by_id(btf, t->type) : NULL;
	return t && btf_is_func_proto(t) && btf_vlen(t) ? (uint8_t)(btf_vlen(t) - 1) : 0;
}

static int try_load(enum bpf_prog_type type, enum bpf_attach_type attach, int btf_id)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach,
		    .attach_btf_id = (uint32_t)(btf_id > 0 ? btf_id : 0));
	int fd = bpf_prog_load(type, "vs_try", "GPL", insns, 2, &opts);

	if (fd < 0)
		return fd;
	(void)close(fd);
	return 0;
}

/* Type information of @module on top of @vmlinux, or NULL. */
static struct btf *module_btf(const char *module, struct btf *vmlinux)
{
	struct btf *btf = btf__load_module_btf(module, vmlinux);

	return libbpf_get_error(btf) ? NULL : btf;
}

/* The kernel's types; what was loaded for this call alone is in *ret_own. NULL
 * without. */
static struct btf *types_of(const struct vs_kcaps *caps, struct btf **ret_own)
{
	if (!caps->btf || caps->vmlinux)
		return caps->vmlinux;
	*ret_own = btf__load_vmlinux_btf();
	return *ret_own;
}

static void free_types(struct btf **btf)
{
	btf__free(*btf);
}

bool vs_kcaps_tun_types(const struct vs_kcaps *caps)
{
	vs_cleanup(free_types) struct btf *own = NULL;
	struct btf *vmlinux = types_of(caps, &own), *btf;
	bool has;

	if (!vmlinux)
		return false;
	if (btf__find_by_name_kind(vmlinux, "tun_file", BTF_KIND_STRUCT) > 0)
		return true;
	btf = module_btf("tun", vmlinux);
	has = btf && btf__find_by_name_kind(btf, "tun_file", BTF_KIND_STRUCT) > 0;
	btf__free(btf);
	return has;
}

void vs_kcaps_vhost(const struct vs_kcaps *caps, struct vs_vhost_facts *ret)
{
	static const struct {
		const char *module, *name;
	} funcs[] = {
#define X(module, func) { #module, #func },
		VS_VHOST_FUNCS(X)
#undef X
	};
	vs_cleanup(free_types) struct btf *own = NULL;
	struct btf *vmlinux = types_of(caps, &own), *vhost, *net;

	memset(ret, 0, sizeof(*ret));
	if (!vmlinux)
		return;
	vhost = module_btf("vhost", vmlinux);
	net = module_btf("vhost_net", vmlinux);
	ret->loaded = access("/sys/module/vhost_net", F_OK) == 0;
	for (size_t i = 0; i < VS_VHOST_FUNC__N; i++) {
		const struct btf *in = vmlinux; /* also where a module is built in */

		if (vhost && strcmp(funcs[i].module, "vhost") == 0)
			in = vhost;
		else if (net && strcmp(funcs[i].module, "vhost_net") == 0)
			in = net;
		ret->funcs[i] = btf__find_by_name_kind(in, funcs[i].name, BTF_KIND_FUNC) > 0;
	}
	ret->types = btf__find_by_name_kind(net ? net : vmlinux, "vhost_net",
					    BTF_KIND_STRUCT) > 0;
	btf__free(net);
	btf__free(vhost);
}

/* All names at once: to search the types for one takes some 30 us, and there
 * is one to each row of drops in each look. */
static int learn_reasons(struct vs_kcaps *caps)
{
	static const char prefix[] = "SKB_DROP_REASON_";
	int id = btf__find_by_name_kind(caps->vmlinux, "skb_drop_reason", BTF_KIND_ENUM);
	const struct btf_type *t = id > 0 ? btf__type_by_id(caps->vmlinux, (uint32_t)id) : NULL;
	const struct btf_enum *e = t ? btf_enum(t) : NULL;

	caps->reasons_n = t ? btf_vlen(t) : 1;
	caps->reasons = calloc(caps->reasons_n, sizeof(*caps->reasons));
	if (!caps->reasons)
		return -ENOMEM;
	/* Numbers are dense; the mask and the like at the end of the enum are not reasons. */
	for (uint32_t i = 0; t && i < btf_vlen(t); i++) {
		const char *name = btf__name_by_offset(caps->vmlinux, e[i].name_off);
		uint32_t value = (uint32_t)e[i].val;

		if (value >= caps->reasons_n || caps->reasons[value])
			continue;
		caps->reasons[value] =
			strdup(vs_text_starts(name, prefix) ? name + sizeof(prefix) - 1 : name);
		if (!caps->reasons[value])
			return -ENOMEM;
	}
	return 0;
}

void vs_kcaps_forget_types(struct vs_kcaps *caps)
{
	btf__free(caps->vmlinux);
	caps->vmlinux = NULL;
}

/* Value of an enumerator, 0 if there is none. */
static uint32_t enum_value(const struct btf *btf, const char *type, const char *name)
{
	int id = btf__find_by_name_kind(btf, type, BTF_KIND_ENUM);
	const struct btf_type *t = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;
	const struct btf_enum *e = t ? btf_enum(t) : NULL;

	for (uint32_t i = 0; t && i < btf_vlen(t); i++)
		if (strcmp(btf__name_by_offset(btf, e[i].name_off), name) == 0)
			return (uint32_t)e[i].val;
	return 0;
}

static bool has_member(const struct btf *btf, const char *type, const char *name)
{
	int id = btf__find_by_name_kind(btf, type, BTF_KIND_STRUCT);
	const struct btf_type *t = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;
	const struct btf_member *m = t ? btf_members(t) : NULL;

	for (uint32_t i = 0; t && i < btf_vlen(t); i++)
		if (strcmp(btf__name_by_offset(btf, m[i].name_off), name) == 0)
			return true;
	return false;
}

int vs_kcaps_probe(struct vs_kcaps *ret)
{
	int fd;

	memset(ret, 0, sizeof(*ret));
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "vs_try", 4, 4, 1, NULL);
	ret->bpf_error = fd < 0 ? -fd : 0;
	if (fd >= 0)
		(void)close(fd);
	ret->vmlinux = btf__load_vmlinux_btf();
	if (!ret->vmlinux) {
		errno = 0;
		return 0;
	}
	/* libbpf also accepts a vmlinux file lying about; it may be of another
	 * kernel, so only the kernel's own word counts. */
	ret->btf = access("/sys/kernel/btf/vmlinux", R_OK) == 0;
	if (!ret->btf || ret->bpf_error)
		return 0;
	for (int i = 0; i < VS_TP__N; i++)
		ret->tp_args[i] = count_args(ret->vmlinux, vs_tp_name(i));
	ret->drop_reason = ret->tp_args[VS_TP_kfree_skb] >= 3 &&
			   btf__find_by_name_kind(ret->vmlinux, "skb_drop_reason", BTF_KIND_ENUM) > 0;
	ret->qdisc_drop = enum_value(ret->vmlinux, "skb_drop_reason", "SKB_DROP_REASON_QDISC_DROP");
	ret->tp_btf = !try_load(BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP,
				btf__find_by_name_kind(ret->vmlinux, "btf_trace_kfree_skb",
						       BTF_KIND_TYPEDEF));
	ret->raw_tp = !try_load(BPF_PROG_TYPE_RAW_TRACEPOINT, 0, 0);
	ret->iter = !try_load(BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER,
			      btf__find_by_name_kind(ret->vmlinux, "bpf_iter_task_file",
						     BTF_KIND_FUNC));
	ret->sched_info = has_member(ret->vmlinux, "sched_info", "run_delay");
	fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "vs_try", 0, 0, 4096 * 4, NULL);
	ret->ringbuf = fd >= 0;
	if (fd >= 0)
		(void)close(fd);
	ret->tun_types = vs_kcaps_tun_types(ret);
	ret->fentry = !try_load(BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY,
				btf__find_by_name_kind(ret->vmlinux, "vfs_read", BTF_KIND_FUNC));
	ret->kprobe = access("/sys/bus/event_source/devices/kprobe/type", R_OK) == 0;
	return learn_reasons(ret);
}

void vs_kcaps_done(struct vs_kcaps *caps)
{
	vs_kcaps_forget_types(caps);
	for (uint32_t i = 0; i < caps->reasons_n; i++)
		free(caps->reasons[i]);
	free(caps->reasons);
	memset(caps, 0, sizeof(*caps));
}

const char *vs_kcaps_reason(struct vs_kcaps *caps, uint32_t reason)
{
	if (!reason || !caps->reasons)
		return "";
	if (reason < caps->reasons_n && caps->reasons[reason])
		return caps->reasons[reason];
	for (size_t i = 0; i < sizeof(caps->others) / sizeof(caps->others[0]); i++) {
		char want[32];

		(void)snprintf(want, sizeof(want), "SUBSYS_%u_%u", reason >> 16, reason & 0xffff);
		if (!caps->others[i][0])
			memcpy(caps->others[i], want, sizeof(want));
		if (strcmp(caps->others[i], want) == 0)
			return caps->others[i];
	}
	return "SUBSYS_OTHER";
}

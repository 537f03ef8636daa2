/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probe/plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A program in its two forms, and the tracepoint that both need. */
struct form {
	enum vs_tp tp;
	const char *typed; /* NULL: the raw one serves both ways */
	const char *raw;
	bool optional; /* the probe is worth having without it */
};

static const struct form drops_forms[] = { { VS_TP_kfree_skb, "vs_tap_free", "vs_tap_free_raw",
					    false } };
static const struct form residence_forms[] = {
	{ VS_TP_net_dev_start_xmit, "vs_tap_xmit", "vs_tap_xmit_raw", false },
	{ VS_TP_skb_copy_datagram_iovec, "vs_tap_copy", "vs_tap_copy_raw", false },
};
static const struct form learn_forms[] = { { VS_TP_netif_receive_skb, NULL, "vs_tap_learn", false } };
static const struct form block_forms[] = {
	{ VS_TP_block_io_start, "vs_block_start", "vs_block_start_raw", false },
	{ VS_TP_block_rq_issue, "vs_block_issue", "vs_block_issue_raw", false },
	{ VS_TP_block_rq_complete, "vs_block_done", "vs_block_done_raw", false },
	{ VS_TP_block_rq_merge, NULL, "vs_block_merged", true },
};
static const struct form block_old_forms[] = {
	{ VS_TP_block_rq_insert, NULL, "vs_block_insert_old", false },
	{ VS_TP_block_rq_issue, NULL, "vs_block_issue_old", false },
	{ VS_TP_block_rq_complete, NULL, "vs_block_done_raw", false },
	{ VS_TP_block_rq_merge, NULL, "vs_block_merged", true },
};
static const struct form taps_forms[] = { { VS_TP_qdisc_create, NULL, "vs_tap_up", false },
					 { VS_TP_qdisc_reset, NULL, "vs_tap_down", false } };
static const struct form exec_forms[] = { { VS_TP_sched_process_exec, "vs_exec", "vs_exec_raw", false } };

static const struct form deep_forms[] = {
	{ VS_TP_sched_switch, "vs_sched_switch", "vs_sched_switch_raw", false },
	{ VS_TP_sched_wakeup, "vs_sched_wakeup", "vs_sched_wakeup_raw", false },
	{ VS_TP_sched_migrate_task, "vs_sched_move", "vs_sched_move_raw", false },
};

static void say(struct vs_plan_probe *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(p->reason, sizeof(p->reason), fmt, ap);
	va_end(ap);
}

static bool denied_hook(unsigned int denied, enum vs_hook hook)
{
	return denied & (1u << hook);
}

/*
 * All programs of a probe in one form: typed where possible, else raw. With
 * @prefer_raw the other way round: a program that does little but index a table
 * by an address must first turn its typed pointer into a number, which costs it
 * more than the direct reads save (make bench shows it).
 */
static void choose(const struct vs_kcaps *caps, unsigned int denied, const struct form *forms,
		   size_t n, bool prefer_raw, struct vs_plan_probe *p)
{
	bool typed = caps->tp_btf && !denied_hook(denied, VS_HOOK_TP_BTF);
	bool raw = caps->raw_tp && !denied_hook(denied, VS_HOOK_RAW_TP);

	bool has_typed = false;

	p->state = VS_STATE_ABSENT;
	for (size_t i = 0; i < n; i++) {
		if (!caps->tp_args[forms[i].tp] && !forms[i].optional) {
			say(p, "this kernel has no tracepoint %s", vs_tp_name(forms[i].tp));
			return;
		}
		if (!forms[i].typed && !raw)
			typed = typed && forms[i].optional;
		has_typed |= forms[i].typed != NULL;
	}
	typed = typed && has_typed;
	if (!typed && !raw) {
		say(p, "neither tp_btf nor raw_tp programs can be loaded");
		return;
	}
	if (prefer_raw) {
		p->state = raw ? VS_STATE_ACTIVE : VS_STATE_FALLBACK;
		if (!raw)
			say(p, "tp_btf, a little dearer: raw_tp %s",
			    denied_hook(denied, VS_HOOK_RAW_TP) ? "was denied" : "does not load here");
		typed = typed && !raw;
	} else {
		p->state = typed ? VS_STATE_ACTIVE : VS_STATE_FALLBACK;
	}
	if (!typed && !prefer_raw)
		say(p, denied_hook(denied, VS_HOOK_TP_BTF) ? "raw_tp: tp_btf was denied" :
							     "raw_tp: tp_btf does not load here");
	for (size_t i = 0; i < n; i++) {
		const char *program = typed && forms[i].typed ? forms[i].typed : forms[i].raw;

		if (!caps->tp_args[forms[i].tp] || (program == forms[i].raw && !raw))
			continue;
		p->programs[p->programs_n++] = program;
	}
}

#define CHOOSE(forms, prefer_raw, p) \
	choose(caps, denied, forms, sizeof(forms) / sizeof((forms)[0]), prefer_raw, p)

static void plan_block(const struct vs_kcaps *caps, unsigned int denied, struct vs_plan_probe *p)
{
	if (caps->tp_args[VS_TP_block_io_start]) {
		CHOOSE(block_forms, false, p);
		return;
	}
	CHOOSE(block_old_forms, true, p);
	if (p->state != VS_STATE_ABSENT) {
		p->state = VS_STATE_FALLBACK;
		say(p, "no block_io_start: flushes are not seen, submitters known from insert or issue");
	}
}

void vs_plan_files(const struct vs_kcaps *caps, unsigned int denied, struct vs_plan_probe *p)
{
	p->programs_n = 0;
	p->reason[0] = '\0';
	p->state = VS_STATE_FALLBACK;
	if (denied_hook(denied, VS_HOOK_ITER))
		say(p, "/proc is walked: iter was denied");
	else if (!caps->iter)
		say(p, "/proc is walked: iterator programs do not load here");
	else if (!caps->tun_types)
		say(p, "/proc is walked: no types of the tun driver (is the module loaded?)");
	else {
		p->state = VS_STATE_ACTIVE;
		p->programs[0] = "vs_files";
		p->programs_n = 1;
	}
}

/* One hook of the vhost modules, in its two forms. */
struct vhost_form {
	enum vs_vhost_func func;
	const char *fentry, *kprobe;
	bool optional;
};
#define FORM(func, name, optional) { VS_VHOST_##func, name, name "_kp", optional }
static const struct vhost_form vhost_forms[] = {
	FORM(vhost_poll_wakeup, "vs_vq_wake", false),
	FORM(handle_rx_kick, "vs_vq_rx_kick", false),
	FORM(handle_rx_kick, "vs_vq_rx_kick_end", false),
	FORM(handle_tx_kick, "vs_vq_tx_kick", false),
	FORM(handle_tx_kick, "vs_vq_tx_kick_end", false),
	FORM(handle_rx_net, "vs_vq_rx_net", false),
	FORM(handle_rx_net, "vs_vq_rx_net_end", false),
	FORM(handle_tx_net, "vs_vq_tx_net", false),
	FORM(handle_tx_net, "vs_vq_tx_net_end", false),
	FORM(vhost_add_used_and_signal_n, "vs_vq_signal", true),
	FORM(eventfd_signal, "vs_vq_call", true),
	FORM(eventfd_signal_mask, "vs_vq_call_mask", true),
	FORM(vhost_net_busy_poll, "vs_vq_poll", true),
	FORM(vhost_net_busy_poll, "vs_vq_poll_end", true),
};
#undef FORM

/* Seen by tracepoints, a worker shows less, but it shows. */
static void plan_vhost_sched(const struct vs_kcaps *caps, unsigned int denied,
			     struct vs_plan_probe *p)
{
	static const struct form forms[] = {
		{ VS_TP_skb_copy_datagram_iovec, NULL, "vs_ws_copy", false },
		{ VS_TP_netif_receive_skb, NULL, "vs_ws_receive", false },
		{ VS_TP_sched_waking, NULL, "vs_ws_waking", false },
		{ VS_TP_sched_switch, NULL, "vs_ws_switch", false },
	};

	p->object = VS_OBJECT_VHOST_SCHED;
	choose(caps, denied, forms, sizeof(forms) / sizeof(forms[0]), true, p);
	if (p->state == VS_STATE_ABSENT)
		return;
	p->state = VS_STATE_FALLBACK;
	p->programs[p->programs_n++] = "vs_ws_msi"; /* where kvm is there */
}

void vs_plan_vhost(const struct vs_kcaps *caps, const struct vs_vhost_facts *facts,
		   unsigned int denied, bool in_use, struct vs_plan_probe *ret)
{
	bool fentry = caps->fentry && !denied_hook(denied, VS_HOOK_FENTRY);
	bool kprobe = caps->kprobe && !denied_hook(denied, VS_HOOK_KPROBE);

	ret->state = VS_STATE_ABSENT;
	ret->programs_n = 0;
	ret->reason[0] = '\0';
	if (!in_use) {
		say(ret, "not needed: no VM uses vhost-net; attached when one does");
		return;
	}
	if (!facts->types || (!fentry && !kprobe)) {
		plan_vhost_sched(caps, denied, ret);
		if (ret->state == VS_STATE_ABSENT)
			return;
		say(ret, "tracepoints, by worker only: %s",
		    !facts->loaded ? "the module vhost_net is not loaded" :
		    !facts->types  ? "no type information of the module vhost_net" :
		    caps->fentry || caps->kprobe ? "fentry and kprobe were denied" :
						   "neither fentry nor kprobe programs can be loaded");
		return;
	}
	ret->object = VS_OBJECT_VHOST;
	for (size_t i = 0; i < sizeof(vhost_forms) / sizeof(vhost_forms[0]); i++) {
		const struct vhost_form *f = &vhost_forms[i];

		/* The one became an inline call of the other. */
		if (f->func == VS_VHOST_eventfd_signal_mask && facts->funcs[VS_VHOST_eventfd_signal])
			continue;
		if (facts->funcs[f->func]) {
			ret->programs[ret->programs_n++] = fentry ? f->fentry : f->kprobe;
		} else if (!f->optional) {
			ret->programs_n = 0;
			say(ret, "this kernel's vhost has no function that '%s' can attach to", f->fentry);
			return;
		}
	}
	ret->state = fentry ? VS_STATE_ACTIVE : VS_STATE_FALLBACK;
	if (!fentry)
		say(ret, denied_hook(denied, VS_HOOK_FENTRY) ? "kprobe: fentry was denied" :
							       "kprobe: fentry does not load here");
}

static void plan_threads(const struct vs_kcaps *caps, unsigned int denied, struct vs_plan_probe *p)
{
	p->state = VS_STATE_FALLBACK;
	if (denied_hook(denied, VS_HOOK_ITER))
		say(p, "/proc is read: iter was denied");
	else if (!caps->iter)
		say(p, "/proc is read: iterator programs do not load here");
	else if (!caps->sched_info)
		say(p, "/proc is read: no sched_info in this kernel's types");
	else {
		p->state = VS_STATE_ACTIVE;
		p->programs[0] = "vs_tasks";
		p->programs_n = 1;
	}
}

static void plan_deep(const struct vs_kcaps *caps, unsigned int denied, struct vs_plan_probe *p)
{
	if (denied_hook(denied, VS_HOOK_SCHED)) {
		say(p, "sched was denied");
		return;
	}
	CHOOSE(deep_forms, false, p);
	if (p->state == VS_STATE_ACTIVE)
		say(p, "on demand: report --deep");
}

void vs_plan_decide(const struct vs_kcaps *caps, unsigned int denied, struct vs_plan *ret)
{
	static const struct vs_plan_probe blank[VS_PROBE__COUNT] = {
		[VS_PROBE_TAP_DROPS] = { "tap.drops", "packets lost, by reason and place",
					 "drops have a number (the kernel's) and no reason",
					 VS_OBJECT_TAP, 0, "", 0, { 0 } },
		[VS_PROBE_TAP_RESIDENCE] = { "tap.residence", "how long packets wait for the guest",
					     "residence is unknown", VS_OBJECT_TAP, 0, "", 0, { 0 } },
		[VS_PROBE_TAP_LEARN] = { "tap.learn", "which devices drops belong to, from traffic",
					 "drops of guests that only send may stay unattributed",
					 VS_OBJECT_TAP, 0, "", 0, { 0 } },
		[VS_PROBE_BLOCK_LATENCY] = { "block.latency", "disk requests: count, bytes, latency",
					     "disks are not measured", VS_OBJECT_BLOCK, 0, "", 0, { 0 } },
		[VS_PROBE_DISCOVER_EXEC] = { "discover.exec", "new VMMs at once",
					     "/proc is looked through every 5 s",
					     VS_OBJECT_DISCOVER, 0, "", 0, { 0 } },
		[VS_PROBE_DISCOVER_TAPS] = { "discover.taps", "taps that come and go, in all namespaces",
					     "a tap in a foreign namespace shows with its first packet",
					     VS_OBJECT_DISCOVER, 0, "", 0, { 0 } },
		[VS_PROBE_DISCOVER_FILES] = { "discover.files", "who holds which tap, in one pass",
					      "taps are found by walking /proc",
					      VS_OBJECT_TUNFILE, 0, "", 0, { 0 } },
		[VS_PROBE_VHOST_WORKER] = { "vhost.worker", "what vhost workers do, and what they wait for",
					    "waits in vhost are part of the residence, with no cause",
					    VS_OBJECT_VHOST, 0, "", 0, { 0 } },
		[VS_PROBE_CPU_THREADS] = { "cpu.threads", "run time and run-queue delay of threads",
					   "each thread's file in /proc is read, for reports only",
					   VS_OBJECT_TASKS, 0, "", 0, { 0 } },
		[VS_PROBE_SCHED_DEEP] = { "sched.deep", "who ran instead, and histograms of run-queue delay",
					  "report --deep has nothing to show",
					  VS_OBJECT_SCHED, 0, "", 0, { 0 } },
	};
	const char *why_not = NULL;

	memset(ret, 0, sizeof(*ret));
	memcpy(ret->probes, blank, sizeof(blank));
	if (denied_hook(denied, VS_HOOK_BPF))
		why_not = "bpf was denied";
	else if (caps->bpf_error)
		why_not = strerror(caps->bpf_error);
	else if (!caps->btf)
		why_not = "no type information: /sys/kernel/btf/vmlinux is missing";
	else if (!caps->ringbuf)
		why_not = "no BPF ring buffer";
	if (why_not) {
		for (int i = 0; i < VS_PROBE__COUNT; i++)
			say(&ret->probes[i], "no BPF: %s", why_not);
		ret->probes[VS_PROBE_DISCOVER_FILES].state = VS_STATE_FALLBACK;
		ret->probes[VS_PROBE_CPU_THREADS].state = VS_STATE_FALLBACK;
		return;
	}
	CHOOSE(drops_forms, false, &ret->probes[VS_PROBE_TAP_DROPS]);
	if (ret->probes[VS_PROBE_TAP_DROPS].state == VS_STATE_ACTIVE && !caps->drop_reason) {
		ret->probes[VS_PROBE_TAP_DROPS].state = VS_STATE_FALLBACK;
		say(&ret->probes[VS_PROBE_TAP_DROPS], "kfree_skb tells no reason here: place only");
	}
	CHOOSE(residence_forms, true, &ret->probes[VS_PROBE_TAP_RESIDENCE]);
	plan_block(caps, denied, &ret->probes[VS_PROBE_BLOCK_LATENCY]);
	CHOOSE(exec_forms, false, &ret->probes[VS_PROBE_DISCOVER_EXEC]);
	CHOOSE(taps_forms, true, &ret->probes[VS_PROBE_DISCOVER_TAPS]);
	vs_plan_files(caps, denied, &ret->probes[VS_PROBE_DISCOVER_FILES]);
	say(&ret->probes[VS_PROBE_VHOST_WORKER], "not needed: no VM uses vhost-net; attached when one does");
	plan_threads(caps, denied, &ret->probes[VS_PROBE_CPU_THREADS]);
	plan_deep(caps, denied, &ret->probes[VS_PROBE_SCHED_DEEP]);
	if (ret->probes[VS_PROBE_DISCOVER_FILES].state == VS_STATE_ACTIVE)
		say(&ret->probes[VS_PROBE_TAP_LEARN], "not needed: discover.files names devices");
	else
		CHOOSE(learn_forms, true, &ret->probes[VS_PROBE_TAP_LEARN]);
	for (int i = 0; i < VS_PROBE__COUNT; i++)
		if (ret->probes[i].programs_n)
			ret->tier = 1;
}

const char *vs_state_name(enum vs_state state)
{
	static const char *const names[] = { "absent", "failed", "fallback", "active" };

	return names[state];
}

int vs_hook_parse(const char *name)
{
	static const char *const names[] = {
#define X(name, label, help) label,
		VS_HOOKS(X)
#undef X
	};

	for (int i = 0; i < VS_HOOK__N; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan.h - decide which programs to load, from what the kernel offers.
 *
 * Layer:   probe
 * State:   none; pure, so tests need no root
 * Threads: any
 */
#pragma once
#include "probe/kcaps.h"

/* One object per kernel module whose types it needs. */
enum vs_object {
	VS_OBJECT_TAP,
	VS_OBJECT_BLOCK,
	VS_OBJECT_DISCOVER,
	VS_OBJECT_TUNFILE,
	VS_OBJECT__N,
	VS_OBJECT_VHOST, /* these come and go: vhost.h */
	VS_OBJECT_VHOST_SCHED,
	VS_OBJECT_TASKS, /* loaded by tasks.h */
	VS_OBJECT_SCHED, /* loaded by deep.h, for seconds */
};

/* What --deny-hook takes, as bits. */
#define VS_HOOKS(X)                                                              \
	X(TP_BTF, "tp_btf", "typed tracepoints; raw_tp is used instead")         \
	X(RAW_TP, "raw_tp", "raw tracepoints")                                   \
	X(ITER, "iter", "the open-files iterator; /proc is walked instead")      \
	X(FENTRY, "fentry", "programs at functions' entry and exit; kprobe instead") \
	X(KPROBE, "kprobe", "probes of functions the old way")                   \
	X(SCHED, "sched", "the deep window's hooks in the scheduler")            \
	X(BPF, "bpf", "all BPF: tier 0 runs")
enum vs_hook {
#define X(name, label, help) VS_HOOK_##name,
	VS_HOOKS(X)
#undef X
	VS_HOOK__N,
};

enum vs_state { VS_STATE_ABSENT, VS_STATE_FAILED, VS_STATE_FALLBACK, VS_STATE_ACTIVE };

#define VS_PLAN_PROGRAMS 16

/* A probe is what gives one group of metrics: all of its programs or none. */
struct vs_plan_probe {
	const char *name;
	const char *gives; /* for doctor */
	const char *lost;  /* what is not known without it */
	enum vs_object object;
	enum vs_state state;
	char reason[160]; /* "" when active as wished */
	uint32_t programs_n;
	const char *programs[VS_PLAN_PROGRAMS];
};

#define VS_PROBES(X)         \
	X(TAP_DROPS)         \
	X(TAP_RESIDENCE)     \
	X(TAP_LEARN)         \
	X(BLOCK_LATENCY)     \
	X(DISCOVER_EXEC)     \
	X(DISCOVER_TAPS)     \
	X(DISCOVER_FILES)    \
	X(VHOST_WORKER)      \
	X(CPU_THREADS)       \
	X(SCHED_DEEP)
enum vs_probe {
#define X(name) VS_PROBE_##name,
	VS_PROBES(X)
#undef X
	VS_PROBE__COUNT,
};

struct vs_plan {
	int tier; /* 0: no BPF at all */
	struct vs_plan_probe probes[VS_PROBE__COUNT];
};

/* @denied: bits 1 << VS_HOOK_*. Fills every probe; never fails. */
void vs_plan_decide(const struct vs_kcaps *caps, unsigned int denied, struct vs_plan *ret);

/* The row of discover.files anew: the driver of taps may be loaded late. */
void vs_plan_files(const struct vs_kcaps *caps, unsigned int denied, struct vs_plan_probe *ret);
/* The row of vhost.worker anew: @facts follow the modules, @in_use whether a VM
 * has vhost-net open. Programs are named only where they shall be attached. */
void vs_plan_vhost(const struct vs_kcaps *caps, const struct vs_vhost_facts *facts,
		   unsigned int denied, bool in_use, struct vs_plan_probe *ret);

const char *vs_state_name(enum vs_state state);
/* Return: a VS_HOOK_*, or -1. */
int vs_hook_parse(const char *name);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sample.h - one look at all VMs: raw cumulative counters, no rates.
 *
 * Flat arrays that name each other by uid; a uid is given once and never
 * again, so two samples are matched by it. What could not be read is marked,
 * never 0.
 *
 * Samples go from the probe process to the daemon as bytes: a new pointer, bool,
 * enum, count or text in here needs a line in source/wire.c or wire_check.c.
 *
 * Layer:   model
 * State:   struct vs_sample, its owner's; its arrays keep their memory between
 *          fills, so that a steady state allocates nothing
 * Threads: the owner's
 */
#pragma once
#include "abi.h"
#include "model/drop.h"
#include "model/label.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VS_NAME__N   256 /* bytes of a VM's name, with NUL */
#define VS_UUID__N   37
#define VS_PATH__N   256
#define VS_IMAGE__N  8
#define VS_IFNAME__N 16

struct vs_image {
	char path[VS_PATH__N];
	char target[32]; /* guest's name for it, "" if unknown */
};

/* libvirt's word on a VM; texts are "" where it says nothing. */
struct vs_vm_libvirt {
	bool known; /* it has a domain for it */
	int32_t id;
	char state[24], reason[24];
	char title[VS_NAME__N];
	char disagreement[160]; /* of libvirt, process and cgroup; also without a domain */
};

struct vs_vm_sample {
	uint64_t uid;
	uint32_t pid;
	uint32_t vcpus; /* 0: unknown */
	bool ended;	/* between the samples; its last figures */
	bool announced; /* its vm.start has been told: other events may follow */
	char name[VS_NAME__N];
	char uuid[VS_UUID__N]; /* "" if unknown */
	const char *source;    /* static: "proc", "libvirt" */
	struct vs_vm_libvirt libvirt;
	uint64_t memory_used, memory_total, memory_balloon; /* bytes, 0: unknown */
	uint32_t images_n;
	struct vs_image images[VS_IMAGE__N];
	uint32_t labels_n;
	struct vs_label labels[VS_LABEL__N]; /* from libvirt's metadata */
};

struct vs_vnic_sample {
	uint64_t uid, vm_uid;
	char name[VS_IFNAME__N];
	char mac[18];	/* of the guest's end, "" if unknown */
	char alias[32]; /* libvirt's name of the device, "" if unknown */
	uint32_t ifindex;
	uint32_t netns_inum; /* 0: the host's own */
	bool attached;	     /* the VM holds it; else it has closed it lately */
	uint32_t index;	     /* among the VM's vNICs, by ifindex */
	bool has_link;	     /* the next five are known */
	uint64_t packets[2], bytes[2], kernel_dropped[2]; /* by VS_DIR_* */
	bool vhost_blind;    /* its VM uses vhost, whose workers cannot be seen */
	bool has_drops;	     /* drops are being explained */
	int64_t unexplained[2]; /* since the slot was activated */
	uint64_t drops_untold[2];
	bool has_residence;
	uint64_t samples, sample_lost;
	struct vs_hist residence;
};

struct vs_drop_sample {
	uint64_t vnic_uid; /* 0: unattributed */
	struct vs_drop_kind kind;
	const char *reason;   /* interned, lives as long as the source */
	const char *location; /* interned */
	uint64_t address;     /* told apart by it, too */
	uint32_t raw_reason;
	uint64_t count;
};

struct vs_disk_info {
	char name[32];	 /* "vda", or "8:16" when sysfs does not know it */
	char kind[8];	 /* "disk", "loop", "dm", "md" */
	bool logical;	 /* what a VM asked for; else a leaf device */
	char backing[VS_PATH__N]; /* of a loop device, else "" */
};

struct vs_disk_sample {
	uint64_t vm_uid; /* 0: unattributed */
	uint32_t dev;
	uint32_t op;
	const struct vs_disk_info *info; /* interned */
	struct vs_disk_row row;
};

/* One virtqueue under one worker. */
struct vs_virtq_sample {
	uint64_t vm_uid, vnic_uid; /* vnic 0: not a tap that we know */
	bool ended;		   /* the worker is gone; its last figures */
	uint64_t worker_delay_ns;  /* the worker's run-queue delay since first seen */
	struct vs_virtq_key key;
	struct vs_virtq row;
};

/* What a thread of a VM is for. */
#define VS_ROLES(X)              \
	X(VCPU, "vcpu")          \
	X(IOTHREAD, "iothread")  \
	X(WORKER, "worker")      \
	X(EMULATOR, "emulator")
enum vs_role {
#define X(name, label) VS_ROLE_##name,
	VS_ROLES(X)
#undef X
	VS_ROLE__N,
};

struct vs_thread_sample {
	uint64_t vm_uid;
	uint64_t start_ns; /* with the tid, its identity; 0: not known */
	uint64_t run_ns, run_delay_ns, slices;
	uint32_t waits_on; /* CPU + 1 where it waits at this moment; 0: it does not, or unknown */
	uint32_t tid;
	uint16_t role;
	int16_t index; /* of a vCPU; -1: not known, or not one */
	char name[16];
};

/* KVM's statistics of a VM. Which there are depends on the kernel. */
#define VS_KVM_STAT__N 32
struct vs_kvm_names {
	uint32_t n;
	char name[VS_KVM_STAT__N][32];
	bool exits[VS_KVM_STAT__N]; /* a class of exits; else a time of halt polling */
	bool polling;		    /* both times of halt polling are among them */
};

struct vs_kvm_sample {
	uint64_t vm_uid;
	uint64_t value[VS_KVM_STAT__N]; /* by place in the names */
};

struct vs_program_sample {
	char name[32];
	char hook[48]; /* form and place, as "fentry/vhost_poll_wakeup" */
	uint64_t run_time_ns, run_cnt, recursion_misses;
	uint32_t verified_insns; /* steps that the verifier took; 0: the kernel does not tell */
};

struct vs_probe_state {
	char name[32];
	const char *state;  /* static: "active", "fallback", "absent", "failed" */
	char reason[160];
};

/* Room in a BPF map. */
#define VS_MAP_UNCOUNTED UINT64_MAX
struct vs_map_sample {
	char name[16];
	uint64_t used; /* entries; VS_MAP_UNCOUNTED: nobody counted them yet */
	uint64_t max;
	uint64_t bytes; /* of the kernel's memory, 0: not known */
};

/* How a daemon keeps time; see model/pace.h. All 0 where nothing ticks. */
struct vs_pace_sample {
	uint64_t ticks;
	uint64_t missed; /* ticks that were never begun: the one before took too long */
	struct vs_hist late; /* from due to begun */
	struct vs_hist took; /* from begun to done */
};

/* What became of the events of one sink. */
struct vs_sink_sample {
	char name[16];
	uint64_t written, lost;
};

#define VS_PROGRAM__N 48
#define VS_PROBE__N   16
#define VS_MAP__N     32
#define VS_SINK__N    8

struct vs_self_sample {
	uint64_t cpu_ns;
	uint64_t rss_bytes;
	uint64_t lost[VS_LOST__N];
	uint64_t slots_full; /* VMs or vNICs that got no slot */
	uint64_t took_ns;    /* time that taking this sample took */
	uint32_t programs_n, probes_n, maps_n, sinks_n;
	struct vs_program_sample programs[VS_PROGRAM__N];
	struct vs_probe_state probes[VS_PROBE__N];
	struct vs_map_sample maps[VS_MAP__N];
	/* The next two are filled by whoever has a rhythm and sinks: the daemon. */
	struct vs_pace_sample pace;
	struct vs_sink_sample sinks[VS_SINK__N];
};

struct vs_sample {
	uint64_t mono_ns, wall_ns;
	bool synthetic; /* made up: none of the VMs exists */
	struct vs_vm_sample *vms;
	struct vs_vnic_sample *vnics;
	struct vs_drop_sample *drops;
	struct vs_disk_sample *disks;
	struct vs_virtq_sample *virtqs;
	struct vs_thread_sample *threads;
	struct vs_kvm_sample *kvm;
	size_t vms_n, vnics_n, drops_n, disks_n, virtqs_n, threads_n, kvm_n;
	size_t vms_size, vnics_size, drops_size, disks_size, virtqs_size, threads_size, kvm_size;
	uint64_t threads_ns; /* monotonic, when they were read; 0: they were not */
	const struct vs_kvm_names *kvm_names; /* interned; NULL: not read */
	bool flush_blind; /* flushes pass no hook of ours here */
	struct vs_self_sample self;
};

void vs_sample_done(struct vs_sample *s);
/* Empties it; memory is kept. */
void vs_sample_clear(struct vs_sample *s);

/* Append one zeroed element. Return: it, valid until the next append of its
 * kind, or NULL when there is no memory. */
struct vs_vm_sample *vs_sample_add_vm(struct vs_sample *s);
struct vs_vnic_sample *vs_sample_add_vnic(struct vs_sample *s);
struct vs_drop_sample *vs_sample_add_drop(struct vs_sample *s);
struct vs_disk_sample *vs_sample_add_disk(struct vs_sample *s);
struct vs_virtq_sample *vs_sample_add_virtq(struct vs_sample *s);
struct vs_thread_sample *vs_sample_add_thread(struct vs_sample *s);
struct vs_kvm_sample *vs_sample_add_kvm(struct vs_sample *s);

/* The histogram of one part of a row, and the number of its requests. */
void vs_disk_part(const struct vs_disk_row *row, uint32_t part, struct vs_hist *ret);

/* Appends what @from holds of one VM, marked as ended, unless @to has it.
 * Neither needs to be sorted. Return: 0 or -ENOMEM. */
int vs_sample_copy_vm(struct vs_sample *to, const struct vs_sample *from, uint64_t vm_uid);

/* Sort by uid and key, so that the finders work and output is stable. */
void vs_sample_sort(struct vs_sample *s);
/* The same for threads and KVM's statistics alone. */
void vs_sample_sort_threads(struct vs_sample *s);

/* Finders over a sorted sample; NULL if there is none. */
const struct vs_vm_sample *vs_sample_find_vm(const struct vs_sample *s, uint64_t uid);
const struct vs_vnic_sample *vs_sample_find_vnic(const struct vs_sample *s, uint64_t uid);
const struct vs_drop_sample *vs_sample_find_drop(const struct vs_sample *s,
						 const struct vs_drop_sample *like);
const struct vs_disk_sample *vs_sample_find_disk(const struct vs_sample *s, uint64_t vm_uid,
						 uint32_t dev, uint32_t op);
const struct vs_virtq_sample *vs_sample_find_virtq(const struct vs_sample *s,
						   const struct vs_virtq_sample *like);
const struct vs_thread_sample *vs_sample_find_thread(const struct vs_sample *s, uint64_t vm_uid,
						     uint32_t tid);
const struct vs_kvm_sample *vs_sample_find_kvm(const struct vs_sample *s, uint64_t vm_uid);

const char *vs_op_name(uint32_t op);
const char *vs_role_name(uint32_t role);
const char *vs_part_name(uint32_t part);
const char *vs_lost_name(uint32_t lost);
const char *vs_lost_help(uint32_t lost);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * abi.h - the whole contract between bpf/ and user/.
 *
 * Every struct that lies in a map or in the ring buffer, every limit, and the
 * lists of names that both sides need. Members are fixed in width, padding is
 * written out, every size is asserted. Counters are cumulative since the
 * programs were attached; readers subtract, nobody resets.
 */
#pragma once

#ifdef __bpf__
#include "vmlinux.h"
#else
#include <linux/types.h>
#endif

#define VS_ABI_VERSION 1
#define VS_ASSERT_SIZE(type, n) \
	_Static_assert(sizeof(type) == (n), #type " changed size: bump VS_ABI_VERSION")

/* Limits. Slots are given out by user space; slot 0 means "no VM", "no vNIC". */
#define VS_NONE		  0u
#define VS_VM__N	  4096 /* VM slots, 0 unused */
#define VS_VNIC__N	  4096 /* vNIC slots, 0 unused */
#define VS_INFLIGHT_BITS  14 /* sampled packets on their way to a reader */
#define VS_RQ_BITS	  14 /* block requests in flight, direct-mapped */
#define VS_RQ_SPILL__N	  8192 /* those whose place was taken */
#define VS_DEV__N	  16384 /* net_device pointers that we can name */
#define VS_DEV_CACHE_BITS 12
#define VS_DROP__N	  16384 /* (vNIC, direction, reason, location) */
#define VS_DISK_ROW__N	  32768 /* (VM, disk, operation) */
#define VS_IIF_BITS	  12

/*
 * Histograms are log-linear: VS_HIST_STEPS equal steps in each octave, from
 * 2^10 ns (1.024 us) to 2^36 ns (68.7 s), so that a value is known to within
 * 1/8 = 12.5 % and a percentile, interpolated, to within about 6 %. Bucket 0
 * holds what is shorter, the last one what is longer.
 */
#define VS_HIST_FIRST_LOG2 10
#define VS_HIST_LAST_LOG2  36
#define VS_HIST_STEPS_LOG2 3
#define VS_HIST_STEPS	   (1 << VS_HIST_STEPS_LOG2)
#define VS_HIST__N	   (((VS_HIST_LAST_LOG2 - VS_HIST_FIRST_LOG2) << VS_HIST_STEPS_LOG2) + 2)

/* Counts are 32 bit and may wrap: readers take differences modulo 2^32. */
struct vs_hist {
	__u64 sum_ns;
	__u32 n[VS_HIST__N];
};
VS_ASSERT_SIZE(struct vs_hist, 848);

/* The bucket of a duration. Shared, so that both sides agree by construction. */
static inline __attribute__((always_inline)) __u32 vs_hist_index(__u64 ns)
{
	__u64 v = ns;
	__u32 log2 = 0, i;

	if (ns < (1ull << VS_HIST_FIRST_LOG2))
		return 0;
	if (ns >= (1ull << VS_HIST_LAST_LOG2))
		return VS_HIST__N - 1;
	if (v >> 32) { v >>= 32; log2 += 32; }
	if (v >> 16) { v >>= 16; log2 += 16; }
	if (v >> 8)  { v >>= 8;  log2 += 8; }
	if (v >> 4)  { v >>= 4;  log2 += 4; }
	if (v >> 2)  { v >>= 2;  log2 += 2; }
	if (v >> 1)  { log2 += 1; }
	i = (__u32)(ns >> (log2 - VS_HIST_STEPS_LOG2)) & (VS_HIST_STEPS - 1);
	return 1 + ((log2 - VS_HIST_FIRST_LOG2) << VS_HIST_STEPS_LOG2) + i;
}

/* A VM as maps know it: a slot and how often that slot was given out. */
struct vs_vm_ref {
	__u32 vm;
	__u32 gen;
};
VS_ASSERT_SIZE(struct vs_vm_ref, 8);

/* A network device as the kernel tells it apart: ifindexes and netns inode
 * numbers are reused at once, cookies never. */
struct vs_dev_id {
	__u64 netns_cookie;
	__u32 ifindex;
	__u32 pad;
};
VS_ASSERT_SIZE(struct vs_dev_id, 16);

struct vs_vnic_ref {
	__u32 vnic;
	__u32 gen;
};
VS_ASSERT_SIZE(struct vs_vnic_ref, 8);

/* What a net_device pointer stands for; vnic is VS_NONE for somebody else's. */
struct vs_dev {
	__u64 netns_cookie;
	__u32 ifindex;
	__u32 vnic;
	__u32 gen;
	__u32 pad;
};
VS_ASSERT_SIZE(struct vs_dev, 24);

/* The same by a hash of the pointer, in half a line of memory; valid for one epoch. */
struct vs_dev_cached {
	__u64 dev;
	__u32 epoch;
	__u32 ifindex;
	__u32 vnic;
	__u32 pad;
	__u64 netns_cookie;
};
VS_ASSERT_SIZE(struct vs_dev_cached, 32);

/* One vNIC. sample_* is the state of its sampler, written by BPF only. */
struct vs_vnic {
	__u32 gen;
	__u32 sample_shift;
	__u64 sample_window_ns;
	__u32 sample_taken;
	__u32 pad;
	__u64 samples;		/* residences measured */
	__u64 sample_collision; /* not begun: the place was taken */
	__u64 sample_aged;	/* others', given up after VS_SAMPLE_AGE_NS when one of ours took the place */
	__u64 drops_untold[2];	/* freed, but the drop map was full; by direction */
	struct vs_hist residence;
};
VS_ASSERT_SIZE(struct vs_vnic, 24 + 5 * 8 + 848);

#define VS_SAMPLE_AGE_NS     (60ull * 1000000000ull)
#define VS_SAMPLE_WINDOW_NS  (100ull * 1000000ull)
#define VS_SAMPLE_TARGET     256 /* samples per window before N doubles */
#define VS_SAMPLE_SHIFT_MAX  6	 /* never rarer than 1 in 64 */

/* A sampled packet between start_xmit and the copy to its reader. */
struct vs_inflight {
	__u64 skb;
	__u64 start_ns;
	__u64 dev;
	__u32 vnic;
	__u16 gen;
	__u8 shift;
	__u8 pad;
};
VS_ASSERT_SIZE(struct vs_inflight, 32);

#define VS_DIR_RX 0 /* into the guest */
#define VS_DIR_TX 1 /* out of it */
#define VS_DIR_BOTH 2 /* a worker seen by tracepoints: not told apart */

/* Flags of a drop: what BPF knew; user space, which knows the names of the
 * locations, decides by them (see user/model/drop.h). */
#define VS_DROP_IIF0  1 /* skb_iif was 0: never received by the stack */
#define VS_DROP_PEER  2 /* the device is another VM's vNIC */
#define VS_DROP_NODEV 4 /* no device yet; counted by the current task's VM */

struct vs_drop_key {
	__u32 vnic; /* slot; with VS_DROP_NODEV the VM's slot; else VS_NONE */
	__u32 gen;
	__u64 location;
	__u32 reason;
	__u8 direction;
	__u8 flags;
	__u16 pad;
};
VS_ASSERT_SIZE(struct vs_drop_key, 24);

/* The last VS_BURST__N losses of one (vNIC, direction, reason). */
#define VS_BURST__N	   10
#define VS_BURST_WINDOW_NS 1000000000ull
struct vs_burst_key {
	__u32 vnic;
	__u32 gen;
	__u32 reason;
	__u32 direction;
};
VS_ASSERT_SIZE(struct vs_burst_key, 16);

struct vs_burst {
	__u64 seen;
	__u64 told_ns;
	__u64 at_ns[16]; /* a ring; 16, so that the index is a mask */
};
VS_ASSERT_SIZE(struct vs_burst, 144);

/* Disks: a row per VM (0: nobody), device and operation. */
#define VS_OPS(X)             \
	X(READ, "read")       \
	X(WRITE, "write")     \
	X(FLUSH, "flush")     \
	X(DISCARD, "discard")
enum vs_op {
#define X(name, label) VS_OP_##name,
	VS_OPS(X)
#undef X
	VS_OP__N,
};

/* queue: start to last issue; device: last issue to completion; total: both. */
#define VS_PARTS(X)         \
	X(QUEUE, "queue")   \
	X(DEVICE, "device") \
	X(TOTAL, "total")
enum vs_part {
#define X(name, label) VS_PART_##name,
	VS_PARTS(X)
#undef X
	VS_PART__N,
};

struct vs_disk_key {
	__u32 vm;
	__u32 gen;
	__u32 dev; /* the kernel's dev_t: major << 20 | minor */
	__u32 op;
};
VS_ASSERT_SIZE(struct vs_disk_key, 16);

/* One line of counters, then the buckets. The parts of one bucket stand together:
 * total and device time of a request mostly fall into the same or the next, and
 * a line of memory that two CPUs write to is what a request costs most. The number of requests is the sum of
 * the buckets of the total; queue_ns is total_ns - device_ns - unissued_ns. */
struct vs_disk_row {
	__u64 bytes;
	__u64 errors;
	__u64 by_cgroup; /* requests named by the bio's cgroup, not the submitter */
	__u64 total_ns;
	__u64 device_ns;
	__u64 unissued_ns; /* of total_ns: requests that ended without an issue */
	__u64 pad[2];
	__u32 n[VS_HIST__N][4]; /* by bucket, then by part; the fourth is unused */
};
VS_ASSERT_SIZE(struct vs_disk_row, 64 + 4 * 840);

/* A block request between its start and its completion. */
struct vs_rq {
	__u64 rq;
	__u64 start_ns;
	__u64 issue_ns;
	__u32 vm;
	__u32 gen;
	__u32 op;
	__u32 by_cgroup;
};
VS_ASSERT_SIZE(struct vs_rq, 40);

#define VS_RQ_AGE_NS (600ull * 1000000000ull)

/*
 * vhost: a row per virtqueue and worker (a virtqueue may be given to another
 * worker, and a worker may serve several). Only the worker writes it.
 */
#define VS_VIRTQ__N  8192
#define VS_WAKE__N   16384 /* virtqueues' two wake-up calls each */
#define VS_LOG2__N   16	   /* buckets by powers of two: 0, 1, 2-3, 4-7, … */

struct vs_virtq_key {
	__u64 vq; /* the kernel's address of it: a name, never followed */
	__u32 tid;
	__u32 pad;
};
VS_ASSERT_SIZE(struct vs_virtq_key, 16);

struct vs_virtq {
	__u64 netns_cookie; /* of the tap behind it; ifindex 0: not known */
	__u64 sock;	    /* back-end socket for which the tap was looked up */
	__u32 ifindex;
	__u32 vm;
	__u32 gen;
	__u16 index;	/* queue pair of the tap */
	__u8 direction; /* VS_DIR_* */
	__u8 pad;
	__u64 runs;	      /* of the handler; by tracepoints: from waking up to sleep */
	__u64 unasked;	      /* of them without a wake-up: re-queued by the handler itself */
	__u64 buffers;	      /* descriptor chains given back to the guest */
	__u64 busy_ns;	      /* in the handler, on a CPU, not polling */
	__u64 polled_ns;      /* in the handler, busy-polling for the guest */
	__u64 signals_due;    /* times that the handler had news for the guest */
	__u64 signals;	      /* times that it interrupted it */
	__u64 starved;	      /* runs that ended with packets, but no buffer for them */
	__u64 starved_ns;     /* waited for buffers, up to the last time that it ended */
	__u64 starved_at_ns;  /* since then it waits for buffers; 0: it does not */
	__u64 wait_ns;	      /* from wake-up to handler, in all */
	__u64 wait_cpu_ns;    /* of it: runnable, without a CPU */
	__u64 wait_sibling_ns; /* of it: the worker served another virtqueue */
	struct vs_hist kick;   /* guest's kick to handler */
	struct vs_hist wake;   /* back-end's wake-up to handler */
	__u32 batch[VS_LOG2__N]; /* runs by buffers given back */
	__u32 depth[VS_LOG2__N]; /* rx runs by packets found in the tap's ring */
};
VS_ASSERT_SIZE(struct vs_virtq, 16 + 16 + 13 * 8 + 2 * 848 + 2 * 64);

/* What a worker is doing, by its tid. */
struct vs_worker {
	__u64 vq;	     /* handler's virtqueue; 0: in none */
	__u64 begin_ns;
	__u64 busy_ns;	     /* in handlers so far, runnable or running */
	__u64 delayed_ns;    /* of it without a CPU */
	__u64 delay_first_ns; /* the worker's run-queue delay when it was first seen */
	__u64 delay_begin_ns; /* at the last begin */
	__u64 delay_end_ns;   /* and at the last end */
	__u64 poll_begin_ns;
	__u64 polled_ns; /* in this run */
	__u64 call;	 /* eventfd about to be signalled */
	__u32 used;	 /* descriptor chains given back before this run */
	__u32 signals_due; /* in this run: see struct vs_virtq */
	__u32 signals;
	__u32 pad;
};
VS_ASSERT_SIZE(struct vs_worker, 96);

/* A wake-up on its way to its handler, by the address of its work item. */
struct vs_wake {
	__u64 at_ns; /* 0: none under way */
	__u64 vq;    /* learnt from the handler's last run; 0: none yet */
	__u32 tid;   /* likewise */
	__u32 pad;
	__u64 busy_ns; /* the worker's counters at that time */
	__u64 delayed_ns;
	__u64 own_ns;
};
VS_ASSERT_SIZE(struct vs_wake, 48);

/* The same worker seen by tracepoints only, by its tid. */
struct vs_slice {
	__u64 woken_ns;	  /* runnable since, waiting for a CPU; 0: not */
	__u64 on_cpu_ns;  /* since; 0: not */
	__u32 packets;	  /* moved in this run */
	__u32 pad;
};
VS_ASSERT_SIZE(struct vs_slice, 24);

#define VS_WAKE_AGE_NS (60ull * 1000000000ull)

/* Why something was not counted where it belongs. Exported, all of them. */
#define VS_LOSSES(X)                                                                      \
	X(DEV_FULL, "dev_map_full", "a network device could not be remembered")           \
	X(DEV_STALE, "dev_stale", "a remembered network device was gone or another")      \
	X(DROP_FULL, "drop_map_full", "a drop counted without its reason")                \
	X(BURST_FULL, "burst_map_full", "a drop that the burst detector did not see")     \
	X(SAMPLE_COLLISION, "sample_collision", "a residence sample not begun")           \
	X(SAMPLE_AGED, "sample_aged", "a residence sample given up after 60 s")           \
	X(SAMPLE_STALE, "sample_stale", "a residence sample whose vNIC was gone")         \
	X(RQ_SPILL_FULL, "rq_spill_full", "a block request that could not be followed")   \
	X(RQ_UNTRACKED, "rq_untracked", "a completion of a request whose start was missed") \
	X(RQ_UNSEEN_END, "rq_unseen_end", "a block request whose completion was not seen")  \
	X(RQ_AGED, "rq_aged", "a block request given up after 600 s")                     \
	X(DISK_FULL, "disk_map_full", "a block request for which no row was free")        \
	X(VHOST_FULL, "vhost_map_full", "a virtqueue, worker or wake-up for which no row was free") \
	X(VHOST_BROKEN, "vhost_run_broken", "a run of a vhost handler of which begin or end was not seen") \
	X(VHOST_AGED, "vhost_wake_aged", "a wake-up of a vhost worker given up after 60 s") \
	X(EVENT_FULL, "event_ring_full", "an event for which the ring had no room")       \
	X(DEEP_SHORT, "deep_ring_short", "a wait whose beginning nobody remembers who ran in") \
	X(DEEP_FULL, "deep_map_full", "a wait that could not be charged to who ran instead")
enum vs_lost {
#define X(name, label, help) VS_LOST_##name,
	VS_LOSSES(X)
#undef X
	VS_LOST__N,
};

/* Rare things, told at once through the ring buffer. */
enum vs_event_type {
	VS_EVENT_EXEC = 1,  /* a process that may be a VMM was started: pid */
	VS_EVENT_TAP = 2,   /* a tun or macvtap device came, changed or went: dev */
	VS_EVENT_BURST = 3, /* VS_BURST__N losses within a second: burst */
};
struct vs_event {
	__u32 type;
	__u32 pid;
	struct vs_dev_id dev;
	struct vs_burst_key burst;
};
VS_ASSERT_SIZE(struct vs_event, 40);

/* A row of the open-files iterator. */
#define VS_FILE_KVM 1
#define VS_FILE_TUN 2
#define VS_FILE_VHOST 3
struct vs_file {
	__u32 pid;
	__u32 fd;
	__u32 kind;
	__u32 ifindex;
	__u64 netns_cookie;
	__u64 dev; /* the net_device's address: a name, never followed */
	__u32 netns_inum;
	__u32 queue;
	char name[16];
};
VS_ASSERT_SIZE(struct vs_file, 56);

/* A row of the task iterator: a thread that works for a VM, with the
 * scheduler's own accounts of it. */
struct vs_task_row {
	__u64 start_ns; /* with the tid, its identity */
	__u64 run_ns;
	__u64 run_delay_ns; /* runnable, but not running */
	__u64 slices;
	__u64 guest_ns; /* ran a guest's code: only a vCPU has any */
	struct vs_vm_ref vm;
	__u32 tgid;
	__u32 tid;
	__u32 flags; /* PF_* */
	__u32 waits_on; /* CPU + 1 on which it waits at this moment; 0: it does not */
	char comm[16];
};
VS_ASSERT_SIZE(struct vs_task_row, 80);
#define VS_PF_KTHREAD	  0x00200000
#define VS_PF_USER_WORKER 0x00004000 /* 6.4; before, a bit that says nothing */

/*
 * The deep window: how long threads of VMs waited for a CPU, and who had it.
 * A thread is known by its index, given out by user space; 0 is nobody.
 */
struct vs_deep_thread {
	__u64 wait_ns; /* runnable since; 0: it is not waiting */
	__u64 told_ns; /* what it waited before this is charged to somebody */
	__u64 unexplained_ns;
	__u32 tid;
	__u32 cpu; /* where it waits */
	struct vs_hist delay;
};
VS_ASSERT_SIZE(struct vs_deep_thread, 32 + 848);

/* Who ran on one CPU, from when: the last VS_RAN__N. */
#define VS_RAN__N 64 /* a power of two */
struct vs_deep_slice {
	__u64 in_ns;
	__u32 tid;
	__u32 tgid;
	char comm[16];
};
#define VS_WAITING__N	 16 /* a power of two, a fraction of VS_RAN__N */
#define VS_WAITING_TRIES 4
struct vs_deep_cpu {
	__u32 head; /* slices ever begun; the newest is at (head - 1) % VS_RAN__N */
	__u32 pad;
	__u32 waiting[VS_WAITING__N]; /* threads that may be waiting here */
	struct vs_deep_slice ran[VS_RAN__N];
};
VS_ASSERT_SIZE(struct vs_deep_cpu, 8 + 4 * VS_WAITING__N + 32 * VS_RAN__N);

#define VS_DEEP_RAN__N 16384 /* (waiting thread, thread that ran instead) */
struct vs_deep_key {
	__u32 thread;
	__u32 tid;
};
VS_ASSERT_SIZE(struct vs_deep_key, 8);
struct vs_deep_ran {
	__u64 ns;
	__u32 tgid;
	__u32 pad;
	char comm[16];
};
VS_ASSERT_SIZE(struct vs_deep_ran, 32);

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * posed_vm - a process that poses as a virtual machine monitor
 *
 * The probe takes a process for a VM by its name and by the taps it holds.
 * Run from a copy called qemu-system-x86_64, this program is one: it opens taps
 * in its own network namespace, does direct I/O on disks, and does exactly what
 * it is told on stdin, so that a test knows the truth about each packet and
 * each request. One command a line, one JSON object a line in reply.
 *
 *	qemu-system-x86_64 -name guest=NAME -uuid UUID [--tap SPEC]... [--disk PATH]...
 *
 * SPEC is NAME[,vnet_hdr][,persist][,queues=N][,down]. Options that are not
 * ours are skipped, so that a whole QEMU command line can be posed with.
 * Commands take KEY=VALUE arguments; the table at the end lists them.
 *
 * Threads: one that obeys, and those that the threads command makes, which run
 * or sleep and nothing else. State: the taps and disks below.
 *
 * To add a command: write a cmd_ function, add its row to the table.
 */
#define _GNU_SOURCE 1 /* O_DIRECT */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/vhost.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PV_TAP__N	64
#define PV_QUEUE__N	8
#define PV_DISK__N	8
#define PV_ARG__N	16
#define PV_FRAME_BYTES	65536
#define PV_VNET_BYTES	10	/* struct virtio_net_hdr without num_buffers */
#define PV_ETH_BYTES	14
#define PV_STAMP_MAGIC	0x56535047u	/* as in packet_gen.c */
#define PV_NS_PER_MS	1000000ull

/* What packet_gen puts behind the Ethernet header. */
struct pv_stamp {
	uint32_t magic;
	uint32_t seq;
	uint64_t sent_ns;
} __attribute__((packed));

struct pv_tap {
	char name[IFNAMSIZ];
	int fd[PV_QUEUE__N];
	int queues;	/* 0 = closed */
	bool vnet_hdr;
};

struct pv_disk {
	char path[256];
	int fd;		/* -1 = closed */
};

/* What was read since the last command that reported it. */
struct pv_tally {
	uint64_t packets;
	uint64_t bytes;
	uint64_t stamped;
	uint64_t *wait_ns;
	size_t cap;
};

struct pv_args {
	char *key[PV_ARG__N];
	char *val[PV_ARG__N];
	int n;
};

static struct pv_tap taps[PV_TAP__N];
static int ntaps;
static struct pv_disk disks[PV_DISK__N];
static int ndisks;
static struct pv_tally tally;
static bool draining;

static uint64_t pv_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static void pv_sleep_ms(uint64_t ms)
{
	struct timespec ts = {
		.tv_sec = (time_t)(ms / 1000),
		.tv_nsec = (long)(ms % 1000 * PV_NS_PER_MS),
	};

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

/* --- arguments -------------------------------------------------------- */

static const char *pv_arg(const struct pv_args *args, const char *key, const char *fallback)
{
	for (int i = 0; i < args->n; i++)
		if (!strcmp(args->key[i], key))
			return args->val[i];
	return fallback;
}

static uint64_t pv_arg_u64(const struct pv_args *args, const char *key, uint64_t fallback)
{
	const char *s = pv_arg(args, key, NULL);

	return s ? strtoull(s, NULL, 0) : fallback;
}

static struct pv_tap *pv_arg_tap(const struct pv_args *args)
{
	const char *name = pv_arg(args, "tap", NULL);

	for (int i = 0; i < ntaps; i++)
		if (taps[i].queues && (!name || !strcmp(taps[i].name, name)))
			return &taps[i];
	return NULL;
}

/* --- replies ---------------------------------------------------------- */

static void pv_reply_error(const char *what, int err)
{
	printf("{\"ok\":false,\"error\":\"%s: %s\",\"errno\":%d}\n", what, strerror(err), err);
}

static void pv_reply_ok(void)
{
	printf("{\"ok\":true}\n");
}

static int pv_cmp_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Nearest rank, in µs: exact, no histogram. */
static double pv_rank_us(double p)
{
	size_t i;

	if (!tally.stamped)
		return 0;
	i = (size_t)(p * (double)tally.stamped);
	if (i >= tally.stamped)
		i = tally.stamped - 1;
	return (double)tally.wait_ns[i] / 1000.0;
}

/* Reports what was read, and starts the tally anew. */
static void pv_reply_tally(void)
{
	if (tally.stamped)
		qsort(tally.wait_ns, tally.stamped, sizeof(*tally.wait_ns), pv_cmp_u64);
	printf("{\"ok\":true,\"packets\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"stamped\":%" PRIu64
	       ",\"wait_us\":{\"min\":%.1f,\"p50\":%.1f,\"p90\":%.1f,\"p95\":%.1f,\"p99\":%.1f,\"max\":%.1f}}\n",
	       tally.packets, tally.bytes, tally.stamped, pv_rank_us(0), pv_rank_us(0.5),
	       pv_rank_us(0.9), pv_rank_us(0.95), pv_rank_us(0.99), pv_rank_us(1));
	tally.packets = tally.bytes = tally.stamped = 0;
}

/* --- taps ------------------------------------------------------------- */

static int pv_tap_up(const char *name)
{
	struct ifreq ifr = {};
	int s, r;

	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s < 0)
		return -errno;
	snprintf(ifr.ifr_name, IFNAMSIZ, "%s", name);
	r = ioctl(s, SIOCGIFFLAGS, &ifr);
	if (!r) {
		ifr.ifr_flags |= IFF_UP;
		r = ioctl(s, SIOCSIFFLAGS, &ifr);
	}
	r = r ? -errno : 0;
	close(s);
	return r;
}

static void pv_tap_close(struct pv_tap *tap)
{
	for (int i = 0; i < tap->queues; i++)
		close(tap->fd[i]);
	tap->queues = 0;
}

static int pv_tap_open(const char *spec)
{
	bool persist = false, down = false;
	struct pv_tap *tap = NULL;
	int want = 1, fd, r = 0;
	char buf[128], *word, *save = NULL;

	for (int i = 0; i < ntaps; i++)
		if (!taps[i].queues)
			tap = &taps[i];
	if (!tap && ntaps == PV_TAP__N)
		return -ENOSPC;
	if (!tap)
		tap = &taps[ntaps++];
	memset(tap, 0, sizeof(*tap));

	snprintf(buf, sizeof(buf), "%s", spec);
	word = strtok_r(buf, ",", &save);
	if (!word)
		return -EINVAL;
	snprintf(tap->name, IFNAMSIZ, "%s", word);
	while ((word = strtok_r(NULL, ",", &save))) {
		if (!strcmp(word, "vnet_hdr"))
			tap->vnet_hdr = true;
		else if (!strcmp(word, "persist"))
			persist = true;
		else if (!strcmp(word, "down"))
			down = true;
		else if (!strncmp(word, "queues=", 7))
			want = atoi(word + 7);
		else
			return -EINVAL;
	}
	if (want < 1 || want > PV_QUEUE__N)
		return -EINVAL;

	while (tap->queues < want) {
		struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };

		if (tap->vnet_hdr)
			ifr.ifr_flags |= IFF_VNET_HDR;
		if (want > 1)
			ifr.ifr_flags |= IFF_MULTI_QUEUE;
		snprintf(ifr.ifr_name, IFNAMSIZ, "%s", tap->name);
		fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0) {
			r = -errno;
			goto fail;
		}
		tap->fd[tap->queues++] = fd;
		if (ioctl(fd, TUNSETIFF, &ifr) ||
		    (persist && ioctl(fd, TUNSETPERSIST, 1))) {
			r = -errno;
			goto fail;
		}
	}
	if (!down)
		r = pv_tap_up(tap->name);
	if (!r)
		return 0;
fail:
	pv_tap_close(tap);
	return r;
}

/* One packet, or 0 when the queue is empty. */
static int pv_queue_read(const struct pv_tap *tap, int fd)
{
	static unsigned char frame[PV_FRAME_BYTES];
	size_t skip = tap->vnet_hdr ? PV_VNET_BYTES : 0;
	struct pv_stamp stamp;
	ssize_t len;

	len = read(fd, frame, sizeof(frame));
	if (len < 0)
		return errno == EAGAIN || errno == EBADFD || errno == EIO ? 0 : -errno;
	len -= (ssize_t)skip;
	tally.packets++;
	tally.bytes += (uint64_t)len;
	if ((size_t)len < PV_ETH_BYTES + sizeof(stamp))
		return 1;
	memcpy(&stamp, frame + skip + PV_ETH_BYTES, sizeof(stamp));
	if (stamp.magic != PV_STAMP_MAGIC)
		return 1;
	if (tally.stamped == tally.cap) {
		size_t cap = tally.cap ? tally.cap * 2 : 65536;
		uint64_t *p = realloc(tally.wait_ns, cap * sizeof(*p));

		if (!p)
			return -ENOMEM;
		tally.wait_ns = p;
		tally.cap = cap;
	}
	tally.wait_ns[tally.stamped++] = pv_now_ns() - stamp.sent_ns;
	return 1;
}

/*
 * Reads all taps until `max` packets were read, nothing came for `idle_ms`, or
 * the clock reaches `end_ns` (0 = never).
 */
static int pv_taps_read(uint64_t max, uint64_t idle_ms, uint64_t end_ns)
{
	struct pollfd pfd[PV_TAP__N * PV_QUEUE__N];
	const struct pv_tap *owner[PV_TAP__N * PV_QUEUE__N];
	uint64_t got = 0, last_ns = pv_now_ns();

	while (got < max) {
		uint64_t now_ns, until_ns;
		nfds_t n = 0;
		int r, wait_ms;

		for (int i = 0; i < ntaps; i++)
			for (int q = 0; q < taps[i].queues; q++) {
				pfd[n] = (struct pollfd){ .fd = taps[i].fd[q], .events = POLLIN };
				owner[n++] = &taps[i];
			}
		now_ns = pv_now_ns();
		until_ns = last_ns + idle_ms * PV_NS_PER_MS;
		if (end_ns && end_ns < until_ns)
			until_ns = end_ns;
		if (now_ns >= until_ns)
			return 0;
		wait_ms = (int)((until_ns - now_ns + PV_NS_PER_MS - 1) / PV_NS_PER_MS);
		r = poll(pfd, n, wait_ms);
		if (r < 0 && errno != EINTR)
			return -errno;
		for (nfds_t k = 0; r > 0 && k < n; k++) {
			if (!(pfd[k].revents & POLLIN))
				continue;
			/* Bounded, so that queues take turns and end_ns is kept. */
			for (int burst = 0; burst < 64 && got < max; burst++) {
				int one = pv_queue_read(owner[k], pfd[k].fd);

				if (one < 0)
					return one;
				if (!one)
					break;
				got++;
				last_ns = pv_now_ns();
			}
		}
	}
	return 0;
}

/* --- commands --------------------------------------------------------- */

static void cmd_open(const struct pv_args *args)
{
	int r = pv_tap_open(pv_arg(args, "tap", ""));

	if (r)
		pv_reply_error("open tap", -r);
	else
		pv_reply_ok();
}

static void cmd_close(const struct pv_args *args)
{
	struct pv_tap *tap = pv_arg_tap(args);

	if (!tap) {
		pv_reply_error("close", ENODEV);
		return;
	}
	pv_tap_close(tap);
	pv_reply_ok();
}

/* The descriptor stays, but the interface has no queue: the guest is gone. */
static void cmd_detach(const struct pv_args *args)
{
	struct ifreq ifr = { .ifr_flags = IFF_DETACH_QUEUE };
	struct pv_tap *tap = pv_arg_tap(args);

	if (!tap) {
		pv_reply_error("detach", ENODEV);
		return;
	}
	for (int q = 0; q < tap->queues; q++)
		if (ioctl(tap->fd[q], TUNSETQUEUE, &ifr)) {
			pv_reply_error("TUNSETQUEUE", errno);
			return;
		}
	pv_reply_ok();
}

static void cmd_read(const struct pv_args *args)
{
	int r = pv_taps_read(pv_arg_u64(args, "count", UINT64_MAX),
			     pv_arg_u64(args, "idle_ms", 300), 0);

	if (r)
		pv_reply_error("read", -r);
	else
		pv_reply_tally();
}

static void cmd_drain(const struct pv_args *args)
{
	draining = pv_arg_u64(args, "on", 1) != 0;
	if (draining) {
		pv_reply_ok();
		return;
	}
	/* What is still in the rings belongs to the same tally. */
	pv_taps_read(UINT64_MAX, pv_arg_u64(args, "idle_ms", 100), 0);
	pv_reply_tally();
}

static void cmd_hold(const struct pv_args *args)
{
	int r;

	pv_sleep_ms(pv_arg_u64(args, "ms", 300));
	r = pv_taps_read(UINT64_MAX, pv_arg_u64(args, "idle_ms", 200), 0);
	if (r)
		pv_reply_error("hold", -r);
	else
		pv_reply_tally();
}

static void cmd_bursty(const struct pv_args *args)
{
	uint64_t period_ns = pv_arg_u64(args, "period_ms", 1000) * PV_NS_PER_MS;
	uint64_t stall_ms = pv_arg_u64(args, "stall_ms", 100);
	uint64_t now_ns = pv_now_ns();
	uint64_t end_ns = now_ns + pv_arg_u64(args, "ms", 5000) * PV_NS_PER_MS;

	for (uint64_t next_ns = now_ns + period_ns; now_ns < end_ns; next_ns += period_ns) {
		/* The stall comes last, so that a period's whole wait is read by the next. */
		int r = pv_taps_read(UINT64_MAX, UINT32_MAX, next_ns - stall_ms * PV_NS_PER_MS);

		if (r) {
			pv_reply_error("bursty", -r);
			return;
		}
		pv_sleep_ms(stall_ms);
		now_ns = pv_now_ns();
	}
	pv_taps_read(UINT64_MAX, 300, 0);
	pv_reply_tally();
}

static void cmd_send(const struct pv_args *args)
{
	unsigned char frame[PV_VNET_BYTES + PV_FRAME_BYTES] = {};
	const char *dst = pv_arg(args, "dst", "ff:ff:ff:ff:ff:ff");
	const char *src = pv_arg(args, "src", "02:00:00:00:00:01");
	uint64_t count = pv_arg_u64(args, "count", 1), size = pv_arg_u64(args, "size", 100);
	uint64_t type = pv_arg_u64(args, "type", 0x88b5);
	struct pv_tap *tap = pv_arg_tap(args);
	uint64_t sent = 0, errors = 0;
	unsigned char *eth;
	int last = 0;

	if (!tap || size > PV_FRAME_BYTES) {
		pv_reply_error("send", tap ? EINVAL : ENODEV);
		return;
	}
	eth = frame + (tap->vnet_hdr ? PV_VNET_BYTES : 0);
	if (sscanf(dst, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &eth[0], &eth[1], &eth[2], &eth[3],
		   &eth[4], &eth[5]) != 6 ||
	    sscanf(src, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &eth[6], &eth[7], &eth[8], &eth[9],
		   &eth[10], &eth[11]) != 6) {
		pv_reply_error("send: address", EINVAL);
		return;
	}
	eth[12] = (unsigned char)(type >> 8);
	eth[13] = (unsigned char)type;
	for (uint64_t i = 0; i < count; i++) {
		struct pv_stamp stamp = {
			.magic = PV_STAMP_MAGIC, .seq = (uint32_t)i, .sent_ns = pv_now_ns(),
		};

		if (size >= PV_ETH_BYTES + sizeof(stamp))
			memcpy(eth + PV_ETH_BYTES, &stamp, sizeof(stamp));
		if (write(tap->fd[0], frame, (size_t)(eth - frame) + size) < 0) {
			errors++;
			last = errno;
		} else {
			sent++;
		}
	}
	printf("{\"ok\":true,\"sent\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"errors\":%" PRIu64
	       ",\"last_error\":\"%s\"}\n",
	       sent, sent * size, errors, last ? strerror(last) : "");
}

static int pv_filter_socket(int fd)
{
	struct sock_filter insn = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog prog = { .len = 1, .filter = &insn };

	return ioctl(fd, TUNATTACHFILTER, &prog);
}

static int pv_filter_ebpf(int fd)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insn_cnt = sizeof(insns) / sizeof(insns[0]),
		.insns = (uintptr_t)insns,
		.license = (uintptr_t)"GPL",
	};
	int prog, r;

	prog = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
	if (prog < 0)
		return -1;
	r = ioctl(fd, TUNSETFILTEREBPF, &prog);
	close(prog);
	return r;
}

static int pv_filter_mac(int fd)
{
	struct {
		struct tun_filter head;
		unsigned char addr[6];
	} flt = { .head.count = 1, .addr = { 0x02, 0, 0, 0, 0, 0xfe } };

	return ioctl(fd, TUNSETTXFILTER, &flt) < 0 ? -1 : 0;
}

/* Three ways in which a tap refuses every frame of packet_gen's. */
static void cmd_filter(const struct pv_args *args)
{
	const char *kind = pv_arg(args, "kind", "socket");
	struct pv_tap *tap = pv_arg_tap(args);
	int r;

	if (!tap) {
		pv_reply_error("filter", ENODEV);
		return;
	}
	if (!strcmp(kind, "socket")) {
		r = pv_filter_socket(tap->fd[0]);
	} else if (!strcmp(kind, "ebpf")) {
		r = pv_filter_ebpf(tap->fd[0]);
	} else if (!strcmp(kind, "mac")) {
		r = pv_filter_mac(tap->fd[0]);
	} else {
		errno = EINVAL;
		r = -1;
	}
	if (r)
		pv_reply_error("filter", errno);
	else
		pv_reply_ok();
}

static int pv_disk_open(const char *path)
{
	struct pv_disk *disk;
	int fd;

	if (ndisks == PV_DISK__N)
		return -ENOSPC;
	fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	disk = &disks[ndisks++];
	snprintf(disk->path, sizeof(disk->path), "%s", path);
	disk->fd = fd;
	return 0;
}

static void cmd_disk_open(const struct pv_args *args)
{
	int r = pv_disk_open(pv_arg(args, "path", ""));

	if (r)
		pv_reply_error("disk-open", -r);
	else
		pv_reply_ok();
}

static int pv_disk_op(int fd, const char *op, void *buf, uint64_t size, uint64_t pos)
{
	uint64_t range[2] = { pos, size };

	if (!strcmp(op, "read"))
		return pread(fd, buf, size, (off_t)pos) == (ssize_t)size ? 0 : -1;
	if (!strcmp(op, "write"))
		return pwrite(fd, buf, size, (off_t)pos) == (ssize_t)size ? 0 : -1;
	if (!strcmp(op, "flush"))
		return fdatasync(fd);
	if (!strcmp(op, "discard"))
		return ioctl(fd, BLKDISCARD, range);
	errno = EINVAL;
	return -1;
}

/* Queue depth 1, O_DIRECT, sequential from the start: one call, one request. */
static void cmd_disk(const struct pv_args *args)
{
	const char *op = pv_arg(args, "op", "read"), *path = pv_arg(args, "path", NULL);
	uint64_t count = pv_arg_u64(args, "count", 1), size = pv_arg_u64(args, "size", 4096);
	struct pv_disk *disk = NULL;
	void *buf = NULL;
	uint64_t done = 0;
	int err = 0;

	for (int i = 0; i < ndisks; i++)
		if (!disk && (!path || !strcmp(disks[i].path, path)))
			disk = &disks[i];
	if (!disk || posix_memalign(&buf, 4096, size)) {
		pv_reply_error("disk", disk ? ENOMEM : ENODEV);
		return;
	}
	memset(buf, 0x5a, size);
	for (uint64_t i = 0; i < count && !err; i++) {
		if (pv_disk_op(disk->fd, op, buf, size, i * size))
			err = errno ? errno : EIO;
		else
			done++;
	}
	free(buf);
	if (err)
		pv_reply_error("disk", err);
	else
		printf("{\"ok\":true,\"ops\":%" PRIu64 ",\"bytes\":%" PRIu64 "}\n", done,
		       strcmp(op, "flush") ? done * size : 0);
}

/* --- threads ---------------------------------------------------------- */

struct pv_thread {
	char name[16];
	int cpu;	/* -1: any */
	bool burn;
	int tid;	/* 0 until it runs */
};

static void *pv_thread_main(void *arg)
{
	struct pv_thread *t = arg;
	bool burn = t->burn;
	cpu_set_t set;

	prctl(PR_SET_NAME, t->name);
	if (t->cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET(t->cpu, &set);
		sched_setaffinity(0, sizeof(set), &set);
	}
	/* The last touch: t is freed then. */
	__atomic_store_n(&t->tid, (int)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	for (;;)
		if (!burn)
			pause();
	return NULL;
}

/* Names come with _ for blanks: "CPU_0/KVM". */
static void cmd_threads(const struct pv_args *args)
{
	uint64_t count = pv_arg_u64(args, "count", 1);
	struct pv_thread t = { .cpu = (int)pv_arg_u64(args, "cpu", (uint64_t)-1),
			       .burn = !strcmp(pv_arg(args, "mode", "sleep"), "burn") };
	pthread_attr_t attr;

	snprintf(t.name, sizeof(t.name), "%s", pv_arg(args, "name", "worker"));
	for (char *c = t.name; *c; c++)
		*c = *c == '_' ? ' ' : *c;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	printf("{\"ok\":true,\"tids\":[");
	for (uint64_t i = 0; i < count; i++) {
		pthread_t id;

		t.tid = 0;
		if (pthread_create(&id, &attr, pv_thread_main, &t))
			break;
		while (!__atomic_load_n(&t.tid, __ATOMIC_SEQ_CST))
			sched_yield();
		printf("%s%d", i ? "," : "", t.tid);
	}
	printf("]}\n");
}

/* A worker of vhost that has nothing to do: it comes with the owner. */
static void cmd_vhost(const struct pv_args *args)
{
	int fd = open("/dev/vhost-net", O_RDWR | O_CLOEXEC);

	(void)args;
	if (fd < 0 || ioctl(fd, VHOST_SET_OWNER))
		pv_reply_error("vhost", errno);
	else
		pv_reply_ok(); /* fd stays open: the worker lives with it */
}

static void cmd_quit(const struct pv_args *args)
{
	(void)args;
	pv_reply_ok();
	fflush(stdout);
	exit(0);
}

static const struct {
	const char *name;
	void (*run)(const struct pv_args *args);
	const char *help;
} commands[] = {
	{ "open", cmd_open, "tap=SPEC: plug a tap" },
	{ "close", cmd_close, "[tap=NAME]: close all its queues" },
	{ "detach", cmd_detach, "[tap=NAME]: disable its queues, keep the descriptors (queues=2 or more)" },
	{ "read", cmd_read, "[count=N] [idle_ms=MS]: read N packets, or until idle" },
	{ "drain", cmd_drain, "on=1|0: read in the background; off reports" },
	{ "hold", cmd_hold, "ms=MS: do not read for so long, then read until idle" },
	{ "bursty", cmd_bursty, "ms=MS stall_ms=MS period_ms=MS: read, but stall once a period" },
	{ "send", cmd_send, "[tap=] [count=] [size=] [type=] [dst=] [src=]: transmit as the guest" },
	{ "filter", cmd_filter, "[tap=] kind=socket|ebpf|mac: refuse all frames" },
	{ "disk-open", cmd_disk_open, "path=PATH: open with O_DIRECT" },
	{ "disk", cmd_disk, "[path=] op=read|write|flush|discard [count=] [size=]" },
	{ "threads", cmd_threads, "[name=NAME] [count=N] [cpu=C] [mode=burn|sleep]: start threads" },
	{ "vhost", cmd_vhost, "own a vhost-net device: its worker starts" },
	{ "quit", cmd_quit, "end" },
};

#define PV_COMMAND__N ((int)(sizeof(commands) / sizeof(commands[0])))

static void pv_command_run(char *line)
{
	struct pv_args args = {};
	char *save = NULL, *name, *word;

	name = strtok_r(line, " \t\n", &save);
	if (!name)
		return;
	while ((word = strtok_r(NULL, " \t\n", &save)) && args.n < PV_ARG__N) {
		char *eq = strchr(word, '=');

		if (!eq) {
			pv_reply_error(word, EINVAL);
			return;
		}
		*eq = '\0';
		args.key[args.n] = word;
		args.val[args.n++] = eq + 1;
	}
	for (int i = 0; i < PV_COMMAND__N; i++)
		if (!strcmp(name, commands[i].name)) {
			commands[i].run(&args);
			return;
		}
	pv_reply_error(name, ENOSYS);
}

int main(int argc, char **argv)
{
	char line[1024];
	size_t len = 0;

	for (int i = 1; i + 1 < argc; i++) {
		int r = 0;

		if (!strcmp(argv[i], "--tap"))
			r = pv_tap_open(argv[i + 1]);
		else if (!strcmp(argv[i], "--disk"))
			r = pv_disk_open(argv[i + 1]);
		if (r) {
			fprintf(stderr, "posed_vm: %s %s: %s\n", argv[i], argv[i + 1], strerror(-r));
			return 1;
		}
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("{\"ok\":true,\"pid\":%d}\n", (int)getpid());

	/* Not stdio: buffered input would hide a second line from poll(). */
	for (;;) {
		struct pollfd in = { .fd = 0, .events = POLLIN };
		ssize_t n;
		char *eol;

		while (poll(&in, 1, draining ? 0 : -1) == 0)
			pv_taps_read(UINT64_MAX, 20, pv_now_ns() + 20 * PV_NS_PER_MS);
		n = read(0, line + len, sizeof(line) - 1 - len);
		if (n <= 0)
			return 0;
		len += (size_t)n;
		line[len] = '\0';
		while ((eol = strchr(line, '\n'))) {
			*eol++ = '\0';
			pv_command_run(line);
			len -= (size_t)(eol - line);
			memmove(line, eol, len + 1);
		}
		if (len == sizeof(line) - 1)
			return 1;
	}
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * posed_vm - a process that poses as a virtual machine monitor
 *
 * The probe takes a process for a VM by its name and by the taps it holds.
 * Run from a copy called qemu-system-x86_64, this program is one: it opens taps
 * in its own network namespace, does direct I/O on disks, and does exactly what
 * it is told on stdin, so that a test knows the truth about each packet and
 * each request. pose/pose.h describes commands and replies.
 *
 *	qemu-system-x86_64 -name guest=NAME -uuid UUID [--tap SPEC]... [--disk PATH]...
 *
 * SPEC is NAME[,vnet_hdr][,persist][,queues=N][,down]. Options that are not
 * ours are skipped, so that a whole QEMU command line can be posed with. The
 * table at the end lists the commands.
 *
 * Threads: one, and those that the threads command makes. State: the taps below,
 * and the disks of pose/disk.c.
 *
 * To add a command: write a cmd_ function, add its row to the table.
 */
#include "pose/disk.h"
#include "pose/pose.h"
#include "pose/tap.h"
#include "pose/threads.h"
#include "pose/waits.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PV_TAP__N	64
#define PV_FRAME_BYTES	65536
#define PV_VNET_BYTES	10	/* struct virtio_net_hdr without num_buffers */

static struct pose_tap taps[PV_TAP__N];
static int ntaps;
static bool draining;

/* What was read since the last command that reported it. */
static struct {
	uint64_t packets;
	uint64_t bytes;
} tally;

static struct pose_tap *pv_arg_tap(const struct pose_args *args)
{
	const char *name = pose_arg(args, "tap", NULL);

	for (int i = 0; i < ntaps; i++)
		if (taps[i].queues && (!name || !strcmp(taps[i].name, name)))
			return &taps[i];
	return NULL;
}

/* Reports what was read, and starts the tally anew. */
static void pv_reply_tally(void)
{
	printf("{\"ok\":true,\"packets\":%" PRIu64 ",\"bytes\":%" PRIu64 ",", tally.packets, tally.bytes);
	pose_waits_report();
	printf("}\n");
	tally.packets = tally.bytes = 0;
}

/* --- taps ------------------------------------------------------------- */

static int pv_tap_open(const char *spec)
{
	char buf[128], *word, *name, *save = NULL;
	struct pose_tap *tap = NULL;
	int want = 1, flags = 0;

	for (int i = 0; i < ntaps; i++)
		if (!taps[i].queues)
			tap = &taps[i];
	if (!tap && ntaps == PV_TAP__N)
		return -ENOSPC;
	if (!tap)
		tap = &taps[ntaps++];

	snprintf(buf, sizeof(buf), "%s", spec);
	name = strtok_r(buf, ",", &save);
	if (!name)
		return -EINVAL;
	while ((word = strtok_r(NULL, ",", &save))) {
		if (!strcmp(word, "vnet_hdr"))
			flags |= POSE_TAP_VNET_HDR;
		else if (!strcmp(word, "persist"))
			flags |= POSE_TAP_PERSIST;
		else if (!strcmp(word, "down"))
			flags |= POSE_TAP_DOWN;
		else if (!strncmp(word, "queues=", 7))
			want = atoi(word + 7);
		else
			return -EINVAL;
	}
	return pose_tap_open(tap, name, want, flags);
}

/* One packet, or 0 when the queue is empty. */
static int pv_queue_read(const struct pose_tap *tap, int fd)
{
	static unsigned char frame[PV_FRAME_BYTES];
	size_t skip = (tap->flags & POSE_TAP_VNET_HDR) ? PV_VNET_BYTES : 0;
	ssize_t len;
	int r;

	len = read(fd, frame, sizeof(frame));
	if (len < 0)
		return errno == EAGAIN || errno == EBADFD || errno == EIO ? 0 : -errno;
	len -= (ssize_t)skip;
	tally.packets++;
	tally.bytes += (uint64_t)len;
	r = pose_waits_note(frame + skip, (size_t)len);
	return r ? r : 1;
}

/*
 * Reads all taps until `max` packets were read, nothing came for `idle_ms`, or
 * the clock reaches `end_ns` (0 = never).
 */
static int pv_taps_read(uint64_t max, uint64_t idle_ms, uint64_t end_ns)
{
	struct pollfd pfd[PV_TAP__N * POSE_TAP_QUEUE__N];
	const struct pose_tap *owner[PV_TAP__N * POSE_TAP_QUEUE__N];
	uint64_t got = 0, last_ns = pose_now_ns();

	while (got < max) {
		uint64_t now_ns, until_ns;
		nfds_t n = 0;
		int r, wait_ms;

		for (int i = 0; i < ntaps; i++)
			for (int q = 0; q < taps[i].queues; q++) {
				pfd[n] = (struct pollfd){ .fd = taps[i].fd[q], .events = POLLIN };
				owner[n++] = &taps[i];
			}
		now_ns = pose_now_ns();
		until_ns = last_ns + idle_ms * POSE_NS_PER_MS;
		if (end_ns && end_ns < until_ns)
			until_ns = end_ns;
		if (now_ns >= until_ns)
			return 0;
		wait_ms = (int)((until_ns - now_ns + POSE_NS_PER_MS - 1) / POSE_NS_PER_MS);
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
				last_ns = pose_now_ns();
			}
		}
	}
	return 0;
}

/* --- commands --------------------------------------------------------- */

static void cmd_open(const struct pose_args *args)
{
	int r = pv_tap_open(pose_arg(args, "tap", ""));

	if (r)
		pose_reply_error("open tap", -r);
	else
		pose_reply_ok();
}

static void cmd_close(const struct pose_args *args)
{
	struct pose_tap *tap = pv_arg_tap(args);

	if (!tap) {
		pose_reply_error("close", ENODEV);
		return;
	}
	pose_tap_close(tap);
	pose_reply_ok();
}

/* The descriptor stays, but the interface has no queue: the guest is gone. */
static void cmd_detach(const struct pose_args *args)
{
	struct ifreq ifr = { .ifr_flags = IFF_DETACH_QUEUE };
	struct pose_tap *tap = pv_arg_tap(args);

	if (!tap) {
		pose_reply_error("detach", ENODEV);
		return;
	}
	for (int q = 0; q < tap->queues; q++)
		if (ioctl(tap->fd[q], TUNSETQUEUE, &ifr)) {
			pose_reply_error("TUNSETQUEUE", errno);
			return;
		}
	pose_reply_ok();
}

static void cmd_read(const struct pose_args *args)
{
	int r = pv_taps_read(pose_arg_u64(args, "count", UINT64_MAX),
			     pose_arg_u64(args, "idle_ms", 300), 0);

	if (r)
		pose_reply_error("read", -r);
	else
		pv_reply_tally();
}

static void cmd_drain(const struct pose_args *args)
{
	draining = pose_arg_u64(args, "on", 1) != 0;
	if (draining) {
		pose_reply_ok();
		return;
	}
	/* What is still in the rings belongs to the same tally. */
	pv_taps_read(UINT64_MAX, pose_arg_u64(args, "idle_ms", 100), 0);
	pv_reply_tally();
}

static void cmd_hold(const struct pose_args *args)
{
	int r;

	pose_sleep_ms(pose_arg_u64(args, "ms", 300));
	r = pv_taps_read(UINT64_MAX, pose_arg_u64(args, "idle_ms", 200), 0);
	if (r)
		pose_reply_error("hold", -r);
	else
		pv_reply_tally();
}

static void cmd_bursty(const struct pose_args *args)
{
	uint64_t period_ns = pose_arg_u64(args, "period_ms", 1000) * POSE_NS_PER_MS;
	uint64_t stall_ms = pose_arg_u64(args, "stall_ms", 100);
	uint64_t now_ns = pose_now_ns();
	uint64_t end_ns = now_ns + pose_arg_u64(args, "ms", 5000) * POSE_NS_PER_MS;

	for (uint64_t next_ns = now_ns + period_ns; now_ns < end_ns; next_ns += period_ns) {
		/* The stall comes last, so that a period's whole wait is read by the next. */
		int r = pv_taps_read(UINT64_MAX, UINT32_MAX, next_ns - stall_ms * POSE_NS_PER_MS);

		if (r) {
			pose_reply_error("bursty", -r);
			return;
		}
		pose_sleep_ms(stall_ms);
		now_ns = pose_now_ns();
	}
	pv_taps_read(UINT64_MAX, 300, 0);
	pv_reply_tally();
}

static void cmd_send(const struct pose_args *args)
{
	unsigned char frame[PV_VNET_BYTES + PV_FRAME_BYTES] = {};
	uint64_t count = pose_arg_u64(args, "count", 1), size = pose_arg_u64(args, "size", 100);
	struct pose_tap *tap = pv_arg_tap(args);
	uint64_t sent = 0, errors = 0;
	unsigned char *eth;
	int last = 0;

	if (!tap || size > PV_FRAME_BYTES) {
		pose_reply_error("send", tap ? EINVAL : ENODEV);
		return;
	}
	eth = frame + (tap->flags & POSE_TAP_VNET_HDR ? PV_VNET_BYTES : 0);
	if (pose_eth_fill(args, eth)) {
		pose_reply_error("send: address", EINVAL);
		return;
	}
	for (uint64_t i = 0; i < count; i++) {
		struct pose_stamp stamp = {
			.magic = POSE_STAMP_MAGIC, .seq = (uint32_t)i, .sent_ns = pose_now_ns(),
		};

		if (size >= POSE_ETH_BYTES + sizeof(stamp))
			memcpy(eth + POSE_ETH_BYTES, &stamp, sizeof(stamp));
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
static void cmd_filter(const struct pose_args *args)
{
	const char *kind = pose_arg(args, "kind", "socket");
	struct pose_tap *tap = pv_arg_tap(args);
	int r;

	if (!tap) {
		pose_reply_error("filter", ENODEV);
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
		pose_reply_error("filter", errno);
	else
		pose_reply_ok();
}

static const struct pose_command commands[] = {
	{ "open", cmd_open, "tap=SPEC: plug a tap" },
	{ "close", cmd_close, "[tap=NAME]: close all its queues" },
	{ "detach", cmd_detach,
	  "[tap=NAME]: disable its queues, keep the descriptors (queues=2 or more)" },
	{ "read", cmd_read, "[count=N] [idle_ms=MS]: read N packets, or until idle" },
	{ "drain", cmd_drain, "on=1|0: read in the background; off reports" },
	{ "hold", cmd_hold, "ms=MS: do not read for so long, then read until idle" },
	{ "bursty", cmd_bursty, "ms=MS stall_ms=MS period_ms=MS: read, but stall once a period" },
	{ "send", cmd_send, "[tap=] [count=] [size=] [type=] [dst=] [src=]: transmit as the guest" },
	{ "filter", cmd_filter, "[tap=] kind=socket|ebpf|mac: refuse all frames" },
	POSE_DISK_COMMANDS,
	POSE_THREADS_COMMANDS,
};

#define PV_COMMAND__N ((int)(sizeof(commands) / sizeof(commands[0])))

static void pv_wait_input(void)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };

	while (poll(&in, 1, draining ? 0 : -1) == 0)
		pv_taps_read(UINT64_MAX, 20, pose_now_ns() + 20 * POSE_NS_PER_MS);
}

int main(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i++) {
		int r = 0;

		if (!strcmp(argv[i], "--tap"))
			r = pv_tap_open(argv[i + 1]);
		else if (!strcmp(argv[i], "--disk"))
			r = pose_disk_open(argv[i + 1]);
		if (r) {
			fprintf(stderr, "posed_vm: %s %s: %s\n", argv[i], argv[i + 1], strerror(-r));
			return 1;
		}
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("{\"ok\":true,\"pid\":%d}\n", (int)getpid());

	return pose_serve(commands, PV_COMMAND__N, pv_wait_input);
}

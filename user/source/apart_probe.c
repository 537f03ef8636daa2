/* SPDX-License-Identifier: GPL-2.0-or-later */
/* apart_probe.c - the probe process: the local source, served over a socket. See apart.h. */
#include "base/cleanup.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/privilege.h"
#include "model/event.h"
#include "source/apart_protocol.h"
#include "source/local.h"
#include "source/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/* Why each: docs/SECURITY.md. On a kernel without CAP_BPF and CAP_PERFMON (before
 * 5.8) CAP_SYS_ADMIN stands for both. */
#define KEEP                                                                                 \
	(VS_CAPABILITY(CAP_BPF) | VS_CAPABILITY(CAP_PERFMON) | VS_CAPABILITY(CAP_NET_ADMIN) | \
	 VS_CAPABILITY(CAP_SYS_ADMIN) | VS_CAPABILITY(CAP_SYS_PTRACE) |                        \
	 VS_CAPABILITY(CAP_DAC_READ_SEARCH) | VS_CAPABILITY(CAP_SYSLOG) |                      \
	 VS_CAPABILITY(CAP_SYS_RESOURCE))

#define MAP_GRAIN 65536

struct probe {
	const struct vs_live_options *options;
	struct vs_loop *loop;
	struct vs_source source;
	struct vs_sample sample; /* the last one: a deep window begins with it */
	uint32_t windows, deep_windows; /* open: the daemon is not trusted to count */
	int fd;
	int map_fd; /* -1: none yet */
	void *map;
	size_t map_size;
	bool map_told;
	struct vs_apart_message in, out; /* large: not on the stack */
};

static void say(struct probe *p, int with_fd)
{
	/* Waits while the daemon is busy. One that is gone needs nobody. */
	if (vs_apart_send(p->fd, &p->out, with_fd, 0))
		vs_loop_stop(p->loop);
}

/* Takes @data's reference. */
static void push_event(void *data, const char *type, const char *severity,
		       const struct vs_event_vm *vm, json_t *body)
{
	struct probe *p = data;
	json_t *j = json_pack("{s:s,s:s,s:o,s:o?}", "type", type, "severity", severity, "vm",
			      vm ? json_pack("{s:s,s:s,s:I}", "name", vm->name, "uuid", vm->uuid,
					     "pid", (json_int_t)vm->pid) :
				   json_null(),
			      "data", body);
	size_t n = j ? json_dumpb(j, p->out.text, sizeof(p->out.text), JSON_COMPACT) : 0;

	json_decref(j);
	if (!n || n > sizeof(p->out.text)) {
		vs_warn("event %s: %s, ignoring", type, n ? "too long" : "out of memory");
		return;
	}
	p->out.type = VS_APART_EVENT;
	p->out.text_n = (uint32_t)n;
	say(p, -1);
}

static void push_burst(void *data, uint64_t vnic_uid, uint32_t raw_reason)
{
	struct probe *p = data;

	p->out.type = VS_APART_BURST;
	p->out.value = vnic_uid;
	p->out.number = raw_reason;
	p->out.text_n = 0;
	say(p, -1);
}

static void answer(struct probe *p, int status, size_t len, uint32_t number, const char *text)
{
	bool tell_map = !status && len && !p->map_told;

	p->out.type = VS_APART_DONE;
	p->out.status = status;
	p->out.value = len;
	p->out.number = number;
	p->out.text_n = (uint32_t)snprintf(p->out.text, 256, "%s", text);
	if (p->out.text_n > 255)
		p->out.text_n = 255;
	say(p, tell_map ? p->map_fd : -1);
	if (tell_map)
		p->map_told = true;
}

/* A file of its own for each size: one that can neither shrink nor be written by
 * whoever it is given to. */
static int new_map(struct probe *p, size_t len)
{
	size_t size = (len + len / 2 + MAP_GRAIN - 1) / MAP_GRAIN * MAP_GRAIN;
	vs_autoclose int fd = memfd_create("virtscope-sample", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *map;

	if (fd < 0 || ftruncate(fd, (off_t)size))
		return -errno;
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)) {
		int r = -errno;

		(void)munmap(map, size);
		return r;
	}
	if (p->map)
		(void)munmap(p->map, p->map_size);
	vs_cleanup_close(&p->map_fd);
	p->map_fd = vs_take_fd(fd);
	p->map = map;
	p->map_size = size;
	p->map_told = false;
	return 0;
}

static void answer_sample(struct probe *p, int status)
{
	size_t len = 0;
	int r = status ? status : vs_wire_encode(&p->sample, p->map, p->map_size, &len);

	if (r == -ENOSPC && !(r = new_map(p, len)))
		r = vs_wire_encode(&p->sample, p->map, p->map_size, &len);
	if (r && !status)
		vs_error("hand a sample over: %s", strerror(-r));
	answer(p, r, len, 0, "");
}

static void answer_deep(struct probe *p, int status, struct vs_deep_sample *deep)
{
	size_t len = 0;
	int r = status ? status : vs_wire_encode_deep(deep, p->map, p->map_size, &len);

	if (r == -ENOSPC && !(r = new_map(p, len)))
		r = vs_wire_encode_deep(deep, p->map, p->map_size, &len);
	if (r && !status)
		vs_error("hand a deep window's look over: %s", strerror(-r));
	vs_deep_sample_done(deep);
	answer(p, r, len, 0, "");
}

static void start(struct probe *p)
{
	const struct vs_source_listener listener = { .event = push_event,
						     .burst = push_burst,
						     .data = p };
	const char *why = "";
	int tier = 0, r = vs_local_new(p->loop, p->options, &listener, &p->source);

	if (!r)
		tier = vs_source_tier(&p->source, &why);
	/* Reading the kernel's types took much that is free now. */
	(void)malloc_trim(0);
	answer(p, r, 0, (uint32_t)tier, why);
}

static void window(struct probe *p, bool open)
{
	if (open) {
		p->windows++;
		vs_source_window_open(&p->source);
	} else if (p->windows) {
		p->windows--;
		vs_source_window_close(&p->source);
	}
}

static void deep_open(struct probe *p)
{
	struct vs_deep_sample deep = { 0 };
	int r = vs_source_deep_open(&p->source, &p->sample, &deep);

	p->deep_windows += !r;
	answer_deep(p, r, &deep);
}

static void deep_read(struct probe *p)
{
	struct vs_deep_sample deep = { 0 };

	answer_deep(p, p->deep_windows ? vs_source_deep_read(&p->source, &deep) : -ENOENT, &deep);
}

static void deep_close(struct probe *p)
{
	if (!p->deep_windows)
		return;
	p->deep_windows--;
	vs_source_deep_close(&p->source);
}

static void serve(struct probe *p)
{
	const struct vs_apart_message *m = &p->in;

	if (!p->source.ops && m->type != VS_APART_START) {
		vs_loop_stop(p->loop);
		return;
	}
	switch (m->type) {
	case VS_APART_START:
		if (!p->source.ops)
			start(p);
		break;
	case VS_APART_SAMPLE:
		answer_sample(p, m->value > VS_LOOK_THREADS ?
					 -EINVAL :
					 vs_source_sample(&p->source, (enum vs_look)m->value, &p->sample));
		break;
	case VS_APART_WINDOW:
		window(p, m->value != 0);
		break;
	case VS_APART_DEEP_OPEN:
		deep_open(p);
		break;
	case VS_APART_DEEP_READ:
		deep_read(p);
		break;
	case VS_APART_DEEP_CLOSE:
		deep_close(p);
		break;
	default:
		vs_loop_stop(p->loop);
	}
}

static void on_request(void *data, int fd)
{
	struct probe *p = data;
	int r = vs_apart_receive(fd, &p->in, NULL, MSG_DONTWAIT);

	if (r == -EAGAIN)
		return;
	if (r)
		vs_loop_stop(p->loop);
	else
		serve(p);
}

/* Whatever a terminal or a service manager sends to both is the daemon's to
 * obey: it says when to end. */
static void leave_signals_to_the_daemon(void)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE };
	sigset_t none;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		(void)signal(numbers[i], SIG_IGN);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/*
 * The daemon's end, whatever it was, must be ours, also while we wait in a call
 * or are stopped. PR_SET_PDEATHSIG would not do: that signal is sent with the
 * rights of the one that dies, and a daemon of another user may not signal us.
 * A pipe's end is told with the rights of whoever asked to be told.
 */
static int tie(int lifeline)
{
	struct pollfd p = { .fd = lifeline };

	if (fcntl(lifeline, F_SETOWN, getpid()) || fcntl(lifeline, F_SETSIG, SIGKILL) ||
	    fcntl(lifeline, F_SETFL, O_ASYNC | O_NONBLOCK))
		return -errno;
	/* Too late to be told of? */
	return poll(&p, 1, 0) > 0 && (p.revents & POLLHUP) ? -EPIPE : 0;
}

/* Descriptors 3 and 4 are all that stay, beside stderr. */
static int settle_descriptors(int *fd, int *lifeline)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int a = fcntl(*fd, F_DUPFD_CLOEXEC, 10), b = fcntl(*lifeline, F_DUPFD_CLOEXEC, 10);

	if (null < 0 || a < 0 || b < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(null, STDOUT_FILENO) < 0 || dup3(a, 3, O_CLOEXEC) < 0 || dup3(b, 4, O_CLOEXEC) < 0)
		return -errno;
	*fd = 3;
	*lifeline = 4;
	return syscall(SYS_close_range, 5u, ~0u, 0u) ? -errno : 0;
}

static void probe_done(struct probe *p)
{
	/* Events that waited are told, so the socket is still there. */
	vs_source_free(&p->source);
	vs_sample_done(&p->sample);
	if (p->map)
		(void)munmap(p->map, p->map_size);
	vs_cleanup_close(&p->map_fd);
	vs_loop_free(&p->loop);
	free(p);
}

int vs_apart_probe_main(int fd, int lifeline, const struct vs_live_options *options)
{
	struct probe *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return 1;
	p->options = options;
	p->map_fd = -1;
	leave_signals_to_the_daemon();
	(void)prctl(PR_SET_NAME, "virtscope-probe", 0, 0, 0);
	r = settle_descriptors(&fd, &lifeline);
	if (!r)
		r = tie(lifeline);
	p->fd = fd;
	if (!r)
		r = vs_privilege_drop(NULL, KEEP);
	if (!r)
		r = vs_loop_new(&p->loop);
	if (!r)
		r = vs_loop_add(p->loop, fd, on_request, p);
	if (!r)
		r = vs_loop_run(p->loop);
	if (r && r != -EPIPE)
		vs_error("probe process: %s", strerror(-r));
	probe_done(p);
	return r ? 1 : 0;
}

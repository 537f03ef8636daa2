/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "source/apart.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "model/event.h"
#include "source/apart_protocol.h"
#include "source/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* A request waits while the probe loads the programs for a module that has just
 * come: the verifier again, of a host that may be short of CPU. Less than the
 * service manager's patience with us, WatchdogSec= of the unit. */
#define CALL_NS	 (20 * VS_NS_PER_S)
/* Loading asks the kernel's verifier, which an emulated machine is slow at. */
#define START_NS (120 * VS_NS_PER_S)
/* To take its programs out of the kernel and tell its last events. */
#define END_NS	 (3 * VS_NS_PER_S)
/* So many events a turn: the rest of the loop has its turns, too. */
#define MESSAGES_PER_TURN 64

struct vs_apart {
	struct vs_loop *loop; /* NULL: not started */
	struct vs_source_listener listener;
	struct vs_wire_names *names;
	pid_t pid;
	int fd, lifeline;
	const void *map;
	size_t map_size;
	int tier;
	char tier_why[256];
	bool ending, lost;
	struct vs_apart_message in, out; /* large: not on the stack */
};

static void lose(struct vs_apart *a, const char *why)
{
	if (a->lost)
		return;
	a->lost = true;
	if (a->loop)
		vs_loop_remove(a->loop, a->fd);
	if (!a->ending && a->listener.lost)
		a->listener.lost(a->listener.data, why);
}

/* Its socket has ended, so it has, or will in an instant. */
static void lose_ended(struct vs_apart *a)
{
	char why[128];
	int status = 0;

	for (int i = 0; i < 100 && a->pid; i++) {
		if (waitpid(a->pid, &status, WNOHANG) == a->pid)
			a->pid = 0;
		else
			(void)usleep(1000);
	}
	if (a->pid)
		(void)snprintf(why, sizeof(why), "the probe process hung up");
	else if (WIFSIGNALED(status))
		(void)snprintf(why, sizeof(why), "the probe process was ended by signal %d",
			       WTERMSIG(status));
	else
		(void)snprintf(why, sizeof(why), "the probe process ended with status %d",
			       WEXITSTATUS(status));
	lose(a, why);
}

static void pass_event(struct vs_apart *a)
{
	json_t *j = json_loadb(a->in.text, a->in.text_n, 0, NULL);
	const char *type = json_string_value(json_object_get(j, "type"));
	const char *severity = json_string_value(json_object_get(j, "severity"));
	const json_t *vm = json_object_get(j, "vm");
	struct vs_event_vm who = { .name = json_string_value(json_object_get(vm, "name")),
				   .uuid = json_string_value(json_object_get(vm, "uuid")),
				   .pid = (uint32_t)json_integer_value(json_object_get(vm, "pid")) };

	if (type && severity && (json_is_null(vm) || (who.name && who.uuid)))
		a->listener.event(a->listener.data, type, severity, json_is_null(vm) ? NULL : &who,
				  json_incref(json_object_get(j, "data")));
	else
		vs_warn("event of the probe process: not understood, ignoring");
	json_decref(j);
}

/* Return: whether it was one that comes by itself. */
static bool pass_on(struct vs_apart *a)
{
	if (a->in.type == VS_APART_EVENT)
		pass_event(a);
	else if (a->in.type == VS_APART_BURST && a->listener.burst)
		a->listener.burst(a->listener.data, a->in.value, a->in.number);
	return a->in.type == VS_APART_EVENT || a->in.type == VS_APART_BURST;
}

static void on_push(void *data, int fd)
{
	struct vs_apart *a = data;

	for (int i = 0; i < MESSAGES_PER_TURN && !a->lost; i++) {
		int r = vs_apart_receive(fd, &a->in, NULL, MSG_DONTWAIT);

		if (r == -EAGAIN)
			return;
		if (r == -EPIPE)
			lose_ended(a);
		else if (r || !pass_on(a))
			lose(a, "the probe process said something that makes no sense");
	}
}

/* Return: 0, or -ETIMEDOUT when there is nothing to read by @until_ns. */
static int wait_readable(int fd, uint64_t until_ns)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	for (;;) {
		uint64_t now = vs_clock_mono_ns();
		int n = poll(&p, 1, now < until_ns ? (int)((until_ns - now) / 1000000 + 1) : 0);

		if (n > 0)
			return 0;
		if (n == 0 && now >= until_ns)
			return -ETIMEDOUT;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

/* A sample can be read without a doubt only from what cannot shrink. */
static int take_map(struct vs_apart *a, int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	void *map;

	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) || st.st_size <= 0)
		return -EBADMSG;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	if (a->map)
		(void)munmap((void *)a->map, a->map_size);
	a->map = map;
	a->map_size = (size_t)st.st_size;
	return 0;
}

/* Reads up to the DONE; what comes before it is passed on. */
static int await_done(struct vs_apart *a, uint64_t timeout_ns)
{
	uint64_t until = vs_clock_mono_ns() + timeout_ns;
	int r;

	do {
		vs_autoclose int map = -1;

		r = wait_readable(a->fd, until);
		if (!r)
			r = vs_apart_receive(a->fd, &a->in, &map, MSG_DONTWAIT);
		if (!r && map >= 0)
			r = take_map(a, map);
	} while (!r && pass_on(a));
	if (!r && (a->in.type != VS_APART_DONE || a->in.status > 0 || a->in.value > a->map_size))
		r = -EBADMSG;
	if (r == -EPIPE)
		lose_ended(a);
	else if (r == -ETIMEDOUT)
		lose(a, "the probe process does not answer");
	else if (r)
		lose(a, "the probe process said something that makes no sense");
	return r ? -EPIPE : a->in.status;
}

static int tell(struct vs_apart *a, uint32_t type, uint64_t value)
{
	int r;

	if (a->lost)
		return -EPIPE;
	a->out.type = type;
	a->out.value = value;
	/* It reads each request before the next; no room means that it hangs. */
	r = vs_apart_send(a->fd, &a->out, -1, MSG_DONTWAIT);
	if (r == -EPIPE)
		lose_ended(a);
	else if (r)
		lose(a, "the probe process does not answer");
	return r ? -EPIPE : 0;
}

static int ask(struct vs_apart *a, uint32_t type, uint64_t value, uint64_t timeout_ns)
{
	int r = tell(a, type, value);

	return r ? r : await_done(a, timeout_ns);
}

/* What one cannot decode, one must not believe further. */
static int decoded(struct vs_apart *a, int r)
{
	if (r == -ENOMEM)
		vs_error("read a sample: %s", strerror(ENOMEM));
	else if (r)
		lose(a, "the probe process sent no sample of this version");
	return r;
}

/* Ours is a part of what the measuring costs. */
static void add_own(struct vs_self_sample *self)
{
	vs_autofclose FILE *f = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	if (f && fscanf(f, "%*u %lu", &pages) == 1)
		self->rss_bytes += pages * (uint64_t)sysconf(_SC_PAGESIZE);
	self->cpu_ns += vs_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static int apart_sample(void *self, enum vs_look look, struct vs_sample *ret)
{
	struct vs_apart *a = self;
	int r = ask(a, VS_APART_SAMPLE, look, CALL_NS);

	if (!r)
		r = decoded(a, vs_wire_decode(a->map, a->in.value, a->names, ret));
	if (!r)
		add_own(&ret->self);
	return r;
}

static void apart_window(void *self, bool open)
{
	(void)tell(self, VS_APART_WINDOW, open);
}

static int deep(struct vs_apart *a, uint32_t type, struct vs_deep_sample *ret)
{
	int r = ask(a, type, 0, CALL_NS);

	return r ? r : decoded(a, vs_wire_decode_deep(a->map, a->in.value, ret));
}

static int apart_deep_open(void *self, const struct vs_sample *s, struct vs_deep_sample *ret)
{
	(void)s; /* the probe has it still: it is the last one */
	return deep(self, VS_APART_DEEP_OPEN, ret);
}

static int apart_deep_read(void *self, struct vs_deep_sample *ret)
{
	return deep(self, VS_APART_DEEP_READ, ret);
}

static void apart_deep_close(void *self)
{
	(void)tell(self, VS_APART_DEEP_CLOSE, 0);
}

static int apart_tier(const void *self, const char **ret_why)
{
	const struct vs_apart *a = self;

	*ret_why = a->tier_why;
	return a->tier;
}

/* It tells its last events and hangs up. One that does not is killed by the
 * kernel when the lifeline goes. */
static void end_probe(struct vs_apart *a)
{
	uint64_t until = vs_clock_mono_ns() + END_NS;

	a->ending = true;
	if (a->loop && !tell(a, VS_APART_END, 0))
		while (!wait_readable(a->fd, until) &&
		       !vs_apart_receive(a->fd, &a->in, NULL, MSG_DONTWAIT) && pass_on(a))
			;
	if (a->loop)
		vs_loop_remove(a->loop, a->fd);
	(void)shutdown(a->fd, SHUT_RDWR);
	for (int i = 0; a->pid > 0 && i < 1000; i++) {
		if (i == 500) {
			vs_cleanup_close(&a->lifeline);
			a->lifeline = -1;
		}
		if (waitpid(a->pid, NULL, WNOHANG) == a->pid)
			a->pid = 0;
		else
			(void)usleep(1000);
	}
}

static void apart_free(void *self)
{
	struct vs_apart *a = self;

	end_probe(a);
	if (a->map)
		(void)munmap((void *)a->map, a->map_size);
	vs_wire_names_free(&a->names);
	vs_cleanup_close(&a->fd);
	vs_cleanup_close(&a->lifeline);
	free(a);
}

static const struct vs_source_ops apart_ops = {
	.name = "live",
	.sample = apart_sample,
	.window = apart_window,
	.deep_open = apart_deep_open,
	.deep_read = apart_deep_read,
	.deep_close = apart_deep_close,
	.tier = apart_tier,
	.free = apart_free,
};

int vs_apart_fork(const struct vs_live_options *options, struct vs_apart **ret)
{
	vs_autoclose int ours = -1, theirs = -1, held = -1, tied = -1;
	struct vs_apart *a;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return vs_fail(errno, "make the probe process: %s", strerror(errno));
	ours = pair[0];
	theirs = pair[1];
	if (pipe2(pair, O_CLOEXEC))
		return vs_fail(errno, "make the probe process: %s", strerror(errno));
	tied = pair[0];
	held = pair[1];
	a = calloc(1, sizeof(*a));
	if (!a || vs_wire_names_new(&a->names)) {
		free(a);
		return vs_fail(ENOMEM, "make the probe process: %s", strerror(ENOMEM));
	}
	pid = fork();
	if (pid == 0) {
		(void)close(ours);
		(void)close(held);
		_exit(vs_apart_probe_main(theirs, tied, options));
	}
	if (pid < 0) {
		int r = vs_fail(errno, "make the probe process: %s", strerror(errno));

		vs_wire_names_free(&a->names);
		free(a);
		return r;
	}
	a->pid = pid;
	a->fd = vs_take_fd(ours);
	a->lifeline = vs_take_fd(held);
	*ret = a;
	return 0;
}

int vs_apart_start(struct vs_apart **apart, struct vs_loop *loop,
		   const struct vs_source_listener *listener, struct vs_source *ret)
{
	struct vs_apart *a = *apart;
	int r;

	a->listener = *listener;
	r = ask(a, VS_APART_START, 0, START_NS);
	if (r)
		return r;
	a->tier = (int)a->in.number;
	(void)snprintf(a->tier_why, sizeof(a->tier_why), "%.*s",
		       (int)(a->in.text_n < sizeof(a->tier_why) ? a->in.text_n : 255), a->in.text);
	r = vs_loop_add(loop, a->fd, on_push, a);
	if (r)
		return vs_fail(r, "listen to the probe process: %s", strerror(-r));
	a->loop = loop;
	*ret = (struct vs_source){ .ops = &apart_ops, .self = a };
	*apart = NULL;
	return 0;
}

void vs_apart_free(struct vs_apart **apart)
{
	if (*apart)
		apart_free(*apart);
	*apart = NULL;
}

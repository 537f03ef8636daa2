/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "discover/libvirt.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define WATCH_NS VS_NS_PER_S
#define BACKOFF_MAX_NS (8 * VS_NS_PER_S)
/* So many messages a turn: the rest of the loop has its turns, too. */
#define MESSAGES_PER_TURN 64
#define AGENT_FD 3
/* For a process that was killed to be gone. */
#define SOON_NS 10000000

struct vs_libvirt {
	struct vs_loop *loop;
	const char *uri;
	const struct vs_label_rules *labels;
	vs_libvirt_fn fn;
	void *data;
	enum vs_libvirt_state state;
	bool was_connected;
	bool refused; /* the last loss was told, not found by silence */
	char reason[160];
	pid_t pid; /* 0: none runs */
	int fd;	   /* -1: its end is closed */
	int watch_timer, soon_timer;
	uint64_t heard_ns; /* last message, or its start */
	uint64_t backoff_ns, start_at_ns;
	struct vs_domain_message message; /* large: not on the stack */
};

/* Beside our own program, or where `make install` puts it. */
static bool agent_path(char *ret, size_t size)
{
	static const char *const places[] = { "virtscope-libvirt", "../libexec/virtscope-libvirt" };
	char self[512], *slash;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		return false;
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (!slash)
		return false;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		(void)snprintf(ret, size, "%.*s/%s", (int)(slash - self), self, places[i]);
		if (access(ret, X_OK) == 0)
			return true;
	}
	return false;
}

static void lose(struct vs_libvirt *v, const char *why)
{
	struct vs_domain_message *m = &v->message;

	(void)snprintf(v->reason, sizeof(v->reason), "%s", why);
	if (v->state == VS_LIBVIRT_LOST)
		return;
	v->state = VS_LIBVIRT_LOST;
	memset(m, 0, sizeof(*m));
	m->type = VS_DOMAIN_LOST;
	memcpy(m->text, v->reason, sizeof(m->text));
	v->fn(v->data, m);
}

/*
 * The child gets the socket as its descriptor 3 and nothing else of ours, least
 * of all links of BPF programs, which must go when we go. It is a process group
 * of its own: a Ctrl-C that ends a report early is not for it.
 */
static int spawn(const char *path, const struct vs_libvirt *v, int fd, pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	char parent[16], rules[VS_LABEL__N][VS_LABEL_NAME__N + VS_LABEL_PATH__N];
	char *argv[4 + VS_LABEL__N] = { (char *)"virtscope-libvirt", (char *)v->uri, parent };
	sigset_t none, pipe;
	int r;

	(void)snprintf(parent, sizeof(parent), "%d", (int)getpid());
	for (uint32_t i = 0; i < v->labels->n; i++) {
		(void)snprintf(rules[i], sizeof(rules[i]), "%s=%s", v->labels->rule[i].name,
			       v->labels->rule[i].path);
		argv[3 + i] = rules[i];
	}
	(void)sigemptyset(&none);
	(void)sigemptyset(&pipe);
	(void)sigaddset(&pipe, SIGPIPE);
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawnattr_init(&attributes);
	(void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDWR, 0);
	(void)posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDOUT_FILENO);
	(void)posix_spawn_file_actions_adddup2(&actions, fd, AGENT_FD);
	(void)posix_spawn_file_actions_addclosefrom_np(&actions, AGENT_FD + 1);
	(void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
							    POSIX_SPAWN_SETPGROUP);
	(void)posix_spawnattr_setsigmask(&attributes, &none);
	(void)posix_spawnattr_setsigdefault(&attributes, &pipe);
	r = posix_spawn(ret_pid, path, &actions, &attributes, argv, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)posix_spawnattr_destroy(&attributes);
	return -r;
}

static void on_message(void *data, int fd);

static int start(struct vs_libvirt *v)
{
	char path[600];
	vs_autoclose int ours = -1, theirs = -1;
	int pair[2], r;

	if (!agent_path(path, sizeof(path)))
		return -ENOENT;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	ours = pair[0];
	theirs = pair[1];
	r = spawn(path, v, theirs, &v->pid);
	if (!r)
		r = vs_loop_add(v->loop, ours, on_message, v);
	if (r)
		return r;
	v->fd = vs_take_fd(ours);
	v->heard_ns = vs_clock_mono_ns();
	return 0;
}

static void hang_up(struct vs_libvirt *v)
{
	if (v->fd >= 0) {
		vs_loop_remove(v->loop, v->fd);
		(void)close(v->fd);
		v->fd = -1;
	}
	if (v->pid)
		(void)kill(v->pid, SIGKILL);
}

/* Later each time, from a second to BACKOFF_MAX_NS. */
static void start_later(struct vs_libvirt *v)
{
	v->start_at_ns = vs_clock_mono_ns() + v->backoff_ns;
	v->backoff_ns = v->backoff_ns * 2 < BACKOFF_MAX_NS ? v->backoff_ns * 2 : BACKOFF_MAX_NS;
}

static void pass_on(struct vs_libvirt *v)
{
	struct vs_domain_message *m = &v->message;

	switch (m->type) {
	case VS_DOMAIN_ALIVE:
		break;
	case VS_DOMAIN_LOST: {
		char why[sizeof(m->text)];

		memcpy(why, m->text, sizeof(why));
		v->refused = true;
		lose(v, why);
		break;
	}
	case VS_DOMAIN_CONNECTED:
		v->state = VS_LIBVIRT_CONNECTED;
		v->reason[0] = '\0';
		v->backoff_ns = VS_NS_PER_S;
		v->fn(v->data, m);
		v->was_connected = true;
		break;
	default:
		v->fn(v->data, m);
	}
}

/* libvirtd was given up for silence, and has found its voice again. */
static bool speaks_again(const struct vs_libvirt *v)
{
	return v->state == VS_LIBVIRT_LOST && v->message.type != VS_DOMAIN_LOST &&
	       v->message.type != VS_DOMAIN_CONNECTED;
}

static void on_message(void *data, int fd)
{
	struct vs_libvirt *v = data;

	for (int i = 0; i < MESSAGES_PER_TURN && v->fd == fd; i++) {
		ssize_t n = recv(fd, &v->message, sizeof(v->message), MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0 || !vs_domain_accept(&v->message, n)) {
			hang_up(v);
			start_later(v);
			lose(v, n <= 0 ? "virtscope-libvirt ended"
				       : "virtscope-libvirt sent no message of this version");
			return;
		}
		v->heard_ns = vs_clock_mono_ns();
		if (speaks_again(v)) {
			/* What it said before is void. A new connection says
			 * all of it anew. */
			hang_up(v);
			v->start_at_ns = 0;
			vs_loop_arm(v->soon_timer, SOON_NS);
			return;
		}
		pass_on(v);
	}
}

static void on_watch(void *data, int timer)
{
	struct vs_libvirt *v = data;
	uint64_t now = vs_clock_mono_ns();

	(void)timer;
	if (v->fd < 0) {
		if (v->pid && waitpid(v->pid, NULL, WNOHANG) == v->pid)
			v->pid = 0;
		if (v->pid || now < v->start_at_ns)
			return;
		if (start(v))
			start_later(v);
		return;
	}
	if (now - v->heard_ns > VS_LIBVIRT_HUNG_NS) {
		hang_up(v);
		start_later(v);
	}
	if (now - v->heard_ns > VS_LIBVIRT_SILENT_NS) {
		v->refused = false;
		lose(v, "libvirtd does not answer");
	}
}

int vs_libvirt_new(struct vs_loop *loop, const char *uri, const struct vs_label_rules *labels,
		   vs_libvirt_fn fn, void *data, struct vs_libvirt **ret)
{
	struct vs_libvirt *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return -ENOMEM;
	v->loop = loop;
	v->uri = uri ? uri : VS_LIBVIRT_URI;
	v->labels = labels ? labels : &vs_label_rules_default;
	v->fn = fn;
	v->data = data;
	v->fd = v->watch_timer = v->soon_timer = -1;
	v->backoff_ns = VS_NS_PER_S;
	*ret = v;
	if (strcmp(v->uri, "none") == 0) {
		(void)snprintf(v->reason, sizeof(v->reason), "--libvirt none");
		return 0;
	}
	r = start(v);
	if (r == -ENOENT) {
		(void)snprintf(v->reason, sizeof(v->reason), "virtscope-libvirt is not installed");
		return 0;
	}
	v->state = VS_LIBVIRT_STARTING;
	if (!r) {
		v->soon_timer = vs_loop_timer(loop, on_watch, v);
		v->watch_timer = vs_loop_every(loop, WATCH_NS, on_watch, v);
		r = v->soon_timer < 0 ? v->soon_timer : v->watch_timer < 0 ? v->watch_timer : 0;
	}
	if (!r)
		return 0;
	r = vs_fail(r, "start virtscope-libvirt: %s", strerror(-r));
	vs_libvirt_free(ret);
	return r;
}

void vs_libvirt_free(struct vs_libvirt **libvirt)
{
	struct vs_libvirt *v = *libvirt;

	if (!v)
		return;
	hang_up(v);
	/* Killed just now: ends within microseconds. Where it does not, we do
	 * not wait; whoever inherits it reaps it. */
	for (int i = 0; v->pid && i < 100 && waitpid(v->pid, NULL, WNOHANG) == 0; i++)
		(void)usleep(1000);
	vs_loop_remove(v->loop, v->watch_timer);
	vs_loop_remove(v->loop, v->soon_timer);
	free(v);
	*libvirt = NULL;
}

enum vs_libvirt_state vs_libvirt_state(const struct vs_libvirt *v)
{
	return v->state;
}

bool vs_libvirt_is_absent(const struct vs_libvirt *v)
{
	return v->state == VS_LIBVIRT_LOST && v->refused && !v->was_connected;
}

bool vs_libvirt_was_connected(const struct vs_libvirt *v)
{
	return v->was_connected;
}

const char *vs_libvirt_reason(const struct vs_libvirt *v)
{
	return v->reason;
}

const char *vs_libvirt_uri(const struct vs_libvirt *v)
{
	return v->uri;
}

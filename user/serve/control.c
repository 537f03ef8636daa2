/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serve/control.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "source/window.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define CLIENTS	     16
#define REQUEST_SIZE 512
#define DURATION_MAX 86400.0

struct client {
	struct vs_control *control;
	int fd; /* -1: free */
	int timer;
	void *request; /* being measured */
	size_t got;
	char line[REQUEST_SIZE];
};

struct vs_control {
	struct vs_loop *loop;
	struct vs_control_ops ops;
	int listen_fd;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct client clients[CLIENTS];
};

static int address(const char *path, struct sockaddr_un *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(ret->sun_path))
		return -ENAMETOOLONG;
	memcpy(ret->sun_path, path, strlen(path));
	return 0;
}

int vs_control_lock(const char *path, pid_t *ret_pid)
{
	char file[256], text[32] = "";
	int fd, n;

	if (strcmp(path, VS_CONTROL_PATH) == 0)
		(void)mkdir(VS_CONTROL_DIR, 0755);
	(void)snprintf(file, sizeof(file), "%s.lock", path);
	fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		return vs_fail(errno, "open the lock '%s': %s (choose another place with --control)",
			       file, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		int r = errno == EWOULDBLOCK ? -EBUSY : -errno;

		if (pread(fd, text, sizeof(text) - 1, 0) > 0)
			*ret_pid = (pid_t)strtol(text, NULL, 10);
		(void)close(fd);
		return r;
	}
	n = snprintf(text, sizeof(text), "%d\n", getpid());
	(void)!ftruncate(fd, 0);
	(void)!pwrite(fd, text, (size_t)n, 0);
	return 0; /* fd stays open: it is the lock */
}

static void drop_client(struct client *c)
{
	struct vs_control *control = c->control;

	if (c->request)
		control->ops.cancel(control->ops.data, c->request);
	c->request = NULL;
	if (c->timer >= 0)
		vs_loop_remove(control->loop, c->timer);
	c->timer = -1;
	vs_loop_remove(control->loop, c->fd);
	(void)close(c->fd);
	c->fd = -1;
}

/* A descriptor of a sealed copy of @text in memory. */
static int memory_file(const char *text)
{
	vs_autoclose int fd = memfd_create("virtscope-report", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t len = strlen(text), done = 0;

	if (fd < 0)
		return -errno;
	while (done < len) {
		ssize_t n = write(fd, text + done, len - done);

		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	(void)fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	return vs_take_fd(fd);
}

static void send_fd(int to, int fd)
{
	char word[] = "report\n";
	struct iovec iov = { word, sizeof(word) - 1 };
	char buf[CMSG_SPACE(sizeof(int))] = { 0 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = buf,
			      .msg_controllen = sizeof(buf) };
	struct cmsghdr *cm = CMSG_FIRSTHDR(&msg);

	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cm), &fd, sizeof(int));
	if (sendmsg(to, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		vs_debug("answer a report: %s", strerror(errno));
}

static void on_measured(void *data, int timer)
{
	struct client *c = data;
	struct vs_control *control = c->control;
	json_t *report = control->ops.finish(control->ops.data, c->request);
	vs_autofree char *text = report ? json_dumps(report, JSON_COMPACT) : NULL;
	vs_autoclose int fd = text ? memory_file(text) : -1;

	(void)timer;
	c->request = NULL; /* finish() has taken it */
	json_decref(report);
	if (fd >= 0)
		send_fd(c->fd, fd);
	else
		vs_warn("build a report for a client failed, ignoring");
	drop_client(c);
}

static void start_request(struct client *c)
{
	struct vs_control *control = c->control;
	json_t *j = json_loads(c->line, 0, NULL);
	const char *what = json_string_value(json_object_get(j, "request"));
	double s = json_number_value(json_object_get(j, "duration"));
	bool deep = json_is_true(json_object_get(j, "deep"));
	bool ok = what && strcmp(what, "report") == 0 && s > 0 &&
		  s <= (deep ? VS_DEEP_MAX_S : DURATION_MAX);

	json_decref(j);
	if (!ok || c->request) {
		drop_client(c);
		return;
	}
	c->request = control->ops.begin(control->ops.data, deep);
	c->timer = c->request ? vs_loop_timer(control->loop, on_measured, c) : -1;
	if (c->timer < 0 || send(c->fd, "ready\n", 6, MSG_DONTWAIT | MSG_NOSIGNAL) != 6) {
		drop_client(c);
		return;
	}
	vs_loop_arm(c->timer, (uint64_t)(s * 1e9));
}

static void on_client(void *data, int fd)
{
	struct client *c = data;
	ssize_t n = recv(fd, c->line + c->got, sizeof(c->line) - 1 - c->got, MSG_DONTWAIT);
	char *end;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) { /* gone; or a line that does not end */
		drop_client(c);
		return;
	}
	c->got += (size_t)n;
	c->line[c->got] = '\0';
	/* Two lines may come at once: a request and its "stop". */
	while (c->fd >= 0 && (end = strchr(c->line, '\n'))) {
		*end++ = '\0';
		if (c->request && strcmp(c->line, "stop") == 0)
			vs_loop_arm(c->timer, 0);
		else
			start_request(c);
		c->got -= (size_t)(end - c->line);
		memmove(c->line, end, c->got + 1);
	}
}

static void on_connect(void *data, int fd)
{
	struct vs_control *control = data;
	vs_autoclose int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (client < 0)
		return;
	for (int i = 0; i < CLIENTS; i++) {
		struct client *c = &control->clients[i];

		if (c->fd >= 0)
			continue;
		if (vs_loop_add(control->loop, client, on_client, c))
			return;
		c->control = control;
		c->got = 0;
		c->timer = -1;
		c->request = NULL;
		c->fd = vs_take_fd(client);
		return;
	}
	vs_warn("%d reports are being measured already; one more was turned away", CLIENTS);
}

int vs_control_new(struct vs_loop *loop, const char *path, const struct vs_control_ops *ops,
		   struct vs_control **ret)
{
	struct vs_control *control = calloc(1, sizeof(*control));
	struct sockaddr_un addr;
	mode_t mask;
	int r;

	if (!control)
		return -ENOMEM;
	for (int i = 0; i < CLIENTS; i++)
		control->clients[i].fd = -1;
	control->loop = loop;
	control->ops = *ops;
	control->listen_fd = -1;
	r = address(path, &addr);
	if (!r) {
		memcpy(control->path, addr.sun_path, sizeof(control->path));
		control->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)unlink(path); /* a dead daemon's: we hold the lock */
		mask = umask(0117); /* root and its group, from the first moment */
		if (control->listen_fd < 0 ||
		    bind(control->listen_fd, (struct sockaddr *)&addr, sizeof(addr)) ||
		    listen(control->listen_fd, CLIENTS))
			r = -errno;
		(void)umask(mask);
	}
	if (!r)
		r = vs_loop_add(loop, control->listen_fd, on_connect, control);
	if (r) {
		vs_error("listen on '%s': %s (choose another place with --control)", path,
			 strerror(-r));
		vs_cleanup_close(&control->listen_fd);
		free(control);
		return r;
	}
	*ret = control;
	return 0;
}

void vs_control_free(struct vs_control **c)
{
	struct vs_control *control = *c;

	if (!control)
		return;
	for (int i = 0; i < CLIENTS; i++)
		if (control->clients[i].fd >= 0)
			drop_client(&control->clients[i]);
	vs_loop_remove(control->loop, control->listen_fd);
	(void)close(control->listen_fd);
	(void)unlink(control->path);
	free(control);
	*c = NULL;
}

static json_t *read_report(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	void *text;
	json_t *j;

	if (size <= 0)
		return NULL;
	text = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (text == MAP_FAILED)
		return NULL;
	j = json_loadb(text, (size_t)size, 0, NULL);
	(void)munmap(text, (size_t)size);
	return j;
}

/* Return: 1 with *ret_fd when the report came, 0 for a "ready", or -errno. */
static int receive(int fd, int *ret_fd)
{
	char word[64] = "", buf[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { word, sizeof(word) - 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = buf,
			      .msg_controllen = sizeof(buf) };
	ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	struct cmsghdr *cm;

	if (n < 0)
		return -errno;
	if (n == 0)
		return -ECONNRESET;
	cm = CMSG_FIRSTHDR(&msg);
	if (!cm || cm->cmsg_type != SCM_RIGHTS)
		return 0;
	memcpy(ret_fd, CMSG_DATA(cm), sizeof(int));
	return 1;
}

int vs_control_ask(const char *path, double duration_s, bool deep, void (*ready)(void), int stop_fd,
		   json_t **ret)
{
	vs_autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	vs_autoclose int report = -1;
	struct sockaddr_un addr;
	char line[128];
	int n, r;

	if (fd < 0)
		return -errno;
	if (address(path, &addr))
		return -ENOENT; /* no daemon can listen there either */
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		if (errno == EACCES)
			return vs_fail(EACCES, "connect to the daemon at '%s': %s (run it as root)", path,
				       strerror(errno));
		return -ENOENT;
	}
	n = snprintf(line, sizeof(line), "{\"request\":\"report\",\"duration\":%.6f,\"deep\":%s}\n",
		     duration_s, deep ? "true" : "false");
	if (send(fd, line, (size_t)n, MSG_NOSIGNAL) != n)
		return vs_fail(errno ? errno : EPIPE, "ask the daemon at '%s': %s", path, strerror(errno));
	for (;;) {
		struct pollfd p[2] = { { .fd = fd, .events = POLLIN },
				       { .fd = stop_fd, .events = POLLIN } };

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return -errno;
		if (p[1].revents & POLLIN) {
			stop_fd = -1;
			(void)!send(fd, "stop\n", 5, MSG_NOSIGNAL);
		}
		if (!(p[0].revents & (POLLIN | POLLHUP)))
			continue;
		r = receive(fd, &report);
		if (r < 0)
			return vs_fail(r, "wait for the daemon's report: %s (did it end, or was the "
					  "request refused?)",
				       strerror(-r));
		if (ready)
			ready();
		ready = NULL;
		if (r == 1)
			break;
	}
	*ret = read_report(report);
	return *ret ? 0 : vs_fail(EBADMSG, "read the daemon's report: it is not JSON");
}

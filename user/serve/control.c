/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serve/control.h"

#include "base/cleanup.h"
#include "base/group.h"
#include "base/log.h"
#include "serve/client.h"
#include "serve/event_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>

static const struct vs_request_ops *const requests[] = { &vs_request_report, &vs_request_events };
#define REQUESTS (sizeof(requests) / sizeof(requests[0]))

int vs_control_address(const char *path, struct sockaddr_un *ret)
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

void vs_client_hang_up(struct vs_client *c)
{
	if (c->request)
		c->request->end(c);
	c->request = NULL;
	c->state = NULL;
	vs_loop_remove(c->control->loop, c->fd);
	(void)close(c->fd);
	c->fd = -1;
}

void vs_client_want_write(struct vs_client *c, bool want)
{
	vs_loop_want_write(c->control->loop, c->fd, want);
}

static void start_request(struct vs_client *c)
{
	json_t *j = json_loads(c->line, 0, NULL);
	const char *name = json_string_value(json_object_get(j, "request"));

	for (size_t i = 0; name && i < REQUESTS; i++) {
		if (strcmp(requests[i]->name, name) != 0)
			continue;
		c->state = requests[i]->begin(c, j);
		c->request = c->state ? requests[i] : NULL;
	}
	json_decref(j);
	if (!c->request)
		vs_client_hang_up(c);
	else if (c->request->event)
		c->request->event(c);
}

static void on_client(void *data, int fd)
{
	struct vs_client *c = data;
	ssize_t n = recv(fd, c->line + c->got, sizeof(c->line) - 1 - c->got, MSG_DONTWAIT);
	char *end;

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		if (c->request && c->request->writable)
			c->request->writable(c);
		return;
	}
	if (n <= 0) { /* gone; or a line that does not end */
		vs_client_hang_up(c);
		return;
	}
	c->got += (size_t)n;
	c->line[c->got] = '\0';
	/* Two lines may come at once: a request and its "stop". */
	while (c->fd >= 0 && (end = strchr(c->line, '\n'))) {
		*end++ = '\0';
		if (!c->request)
			start_request(c);
		else if (!c->request->line(c, c->line))
			vs_client_hang_up(c);
		c->got -= (size_t)(end - c->line);
		memmove(c->line, end, c->got + 1);
	}
}

static void on_event(void *data)
{
	struct vs_control *control = data;

	for (int i = 0; i < VS_CLIENTS__N; i++) {
		struct vs_client *c = &control->clients[i];

		if (c->fd >= 0 && c->request && c->request->event)
			c->request->event(c);
	}
}

static void on_connect(void *data, int fd)
{
	struct vs_control *control = data;
	vs_autoclose int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (client < 0)
		return;
	for (int i = 0; i < VS_CLIENTS__N; i++) {
		struct vs_client *c = &control->clients[i];

		if (c->fd >= 0)
			continue;
		if (vs_loop_add(control->loop, client, on_client, c))
			return;
		c->control = control;
		c->got = 0;
		c->fd = vs_take_fd(client);
		return;
	}
	vs_warn("%d clients are being answered already; one more was turned away", VS_CLIENTS__N);
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
	for (int i = 0; i < VS_CLIENTS__N; i++)
		control->clients[i].fd = -1;
	control->loop = loop;
	control->ops = *ops;
	control->listen_fd = -1;
	r = vs_control_address(path, &addr);
	if (!r) {
		memcpy(control->path, addr.sun_path, sizeof(control->path));
		control->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)unlink(path); /* a dead daemon's: we hold the lock */
		mask = umask(0117); /* root and its group, from the first moment */
		if (control->listen_fd < 0 ||
		    bind(control->listen_fd, (struct sockaddr *)&addr, sizeof(addr)) ||
		    listen(control->listen_fd, VS_CLIENTS__N))
			r = -errno;
		(void)umask(mask);
		if (!r)
			vs_group_give_path(path);
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
	if (ops->memory)
		vs_event_memory_watch(ops->memory, on_event, control);
	*ret = control;
	return 0;
}

void vs_control_free(struct vs_control **c)
{
	struct vs_control *control = *c;

	if (!control)
		return;
	if (control->ops.memory)
		vs_event_memory_watch(control->ops.memory, NULL, NULL);
	for (int i = 0; i < VS_CLIENTS__N; i++)
		if (control->clients[i].fd >= 0)
			vs_client_hang_up(&control->clients[i]);
	vs_loop_remove(control->loop, control->listen_fd);
	(void)close(control->listen_fd);
	(void)unlink(control->path);
	free(control);
	*c = NULL;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_report.c - {"request":"report"}: a window, and at its end a file in memory. */
#include "base/cleanup.h"
#include "base/log.h"
#include "serve/client.h"
#include "source/window.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define DURATION_MAX 86400.0

struct measuring {
	void *request; /* of vs_control_ops */
	int timer;
};

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
	struct vs_client *c = data;
	struct measuring *m = c->state;
	const struct vs_control_ops *ops = &c->control->ops;
	json_t *report = ops->finish(ops->data, m->request);
	vs_autofree char *text = report ? json_dumps(report, JSON_COMPACT) : NULL;
	vs_autoclose int fd = text ? memory_file(text) : -1;

	(void)timer;
	m->request = NULL; /* finish() has taken it */
	json_decref(report);
	if (fd >= 0)
		send_fd(c->fd, fd);
	else
		vs_warn("build a report for a client failed, ignoring");
	vs_client_hang_up(c);
}

static void report_end(struct vs_client *c)
{
	struct measuring *m = c->state;

	if (m->request)
		c->control->ops.cancel(c->control->ops.data, m->request);
	if (m->timer >= 0)
		vs_loop_remove(c->control->loop, m->timer);
	free(m);
}

static void *report_begin(struct vs_client *c, const json_t *asked)
{
	const struct vs_control_ops *ops = &c->control->ops;
	double s = json_number_value(json_object_get(asked, "duration"));
	bool deep = json_is_true(json_object_get(asked, "deep"));
	struct measuring *m;

	if (!(s > 0 && s <= (deep ? VS_DEEP_MAX_S : DURATION_MAX)))
		return NULL;
	m = calloc(1, sizeof(*m));
	if (!m)
		return NULL;
	m->request = ops->begin(ops->data, deep);
	m->timer = m->request ? vs_loop_timer(c->control->loop, on_measured, c) : -1;
	if (m->timer < 0 || send(c->fd, "ready\n", 6, MSG_DONTWAIT | MSG_NOSIGNAL) != 6) {
		c->state = m;
		report_end(c);
		return NULL;
	}
	vs_loop_arm(m->timer, (uint64_t)(s * 1e9));
	return m;
}

static bool report_line(struct vs_client *c, const char *line)
{
	struct measuring *m = c->state;

	if (strcmp(line, "stop") != 0)
		return false;
	vs_loop_arm(m->timer, 0);
	return true;
}

const struct vs_request_ops vs_request_report = {
	.name = "report",
	.begin = report_begin,
	.line = report_line,
	.end = report_end,
};

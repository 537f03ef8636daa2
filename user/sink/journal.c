/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sink/journal.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include "model/event_types.h"

#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

/* What one datagram may hold. The default allows some 200 KiB; libsystemd asks
 * for as much. */
#define SEND_BUFFER (8 << 20)

struct vs_sink {
	int fd;
	struct sockaddr_un to;
	/* The message being made. */
	char *text;
	size_t len, size;
	bool failed; /* no memory */
};

int vs_journal_open(const char *path, struct vs_sink **ret)
{
	struct vs_sink *s = calloc(1, sizeof(*s));
	const int size = SEND_BUFFER;

	if (!s)
		return -ENOMEM;
	s->to.sun_family = AF_UNIX;
	(void)snprintf(s->to.sun_path, sizeof(s->to.sun_path), "%s", path);
	s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0) {
		int r = vs_fail(errno, "make a socket for the journal: %s", strerror(errno));

		free(s);
		return r;
	}
	(void)setsockopt(s->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	*ret = s;
	return 0;
}

static void append(struct vs_sink *s, const void *bytes, size_t n)
{
	if (s->len + n > s->size) {
		size_t size = 2 * (s->len + n);
		char *text = realloc(s->text, size);

		if (!text) {
			s->failed = true;
			return;
		}
		s->text = text;
		s->size = size;
	}
	memcpy(s->text + s->len, bytes, n);
	s->len += n;
}

/* A value with a newline goes with its length, all others as KEY=value. */
static void field(struct vs_sink *s, const char *key, const char *value, size_t n)
{
	uint64_t len = htole64(n);

	append(s, key, strlen(key));
	if (memchr(value, '\n', n)) {
		append(s, "\n", 1);
		append(s, &len, sizeof(len));
	} else {
		append(s, "=", 1);
	}
	append(s, value, n);
	append(s, "\n", 1);
}

static void field_text(struct vs_sink *s, const char *key, const char *value)
{
	field(s, key, value, strlen(value));
}

/* Nothing for null, objects and arrays: those are in VIRTSCOPE_EVENT. */
static void field_json(struct vs_sink *s, const char *key, const json_t *j)
{
	char number[32];

	if (json_is_string(j)) {
		field(s, key, json_string_value(j), json_string_length(j));
		return;
	}
	if (json_is_integer(j))
		(void)snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(j));
	else if (json_is_real(j))
		(void)snprintf(number, sizeof(number), "%.9g", json_real_value(j));
	else if (json_is_boolean(j))
		(void)snprintf(number, sizeof(number), "%s", json_is_true(j) ? "true" : "false");
	else
		return;
	field_text(s, key, number);
}

/* data's keys in capitals: {"vnic": …} -> VIRTSCOPE_VNIC. The keys of data come from
 * us alone, and a test holds them apart from the envelope's. */
static void fields_of_data(struct vs_sink *s, const json_t *data)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)data, key, value)
	{
		char name[64]; /* journald allows no more */
		size_t n = (size_t)snprintf(name, sizeof(name), "VIRTSCOPE_%s", key);

		for (size_t i = 0; i < n && i < sizeof(name); i++)
			name[i] = (char)toupper((unsigned char)name[i]);
		field_json(s, name, value);
	}
}

static const char *priority(const char *severity)
{
	if (severity && strcmp(severity, "error") == 0)
		return "3";
	return severity && strcmp(severity, "warning") == 0 ? "4" : "6";
}

static void message(struct vs_sink *s, const struct vs_sink_event *event)
{
	const json_t *e = event->json, *vm = json_object_get(e, "vm");
	const char *type = json_string_value(json_object_get(e, "type"));
	const char *name = json_string_value(json_object_get(vm, "name"));
	const struct vs_event_kind *t = vs_event_type_find(type);
	char text[4096];
	size_t n = 0;

	if (name) {
		char clean[1024];

		(void)vs_text_printable(clean, sizeof(clean), name);
		n = (size_t)snprintf(text, sizeof(text), "VM %s: ", clean);
	}
	(void)vs_event_sentence(text + n, sizeof(text) - n, e);
	field_text(s, "MESSAGE", text);
	field_text(s, "PRIORITY", priority(json_string_value(json_object_get(e, "severity"))));
	field_text(s, "SYSLOG_IDENTIFIER", "virtscope");
	if (t)
		field_text(s, "MESSAGE_ID", t->message_id);
	field_json(s, "VIRTSCOPE_TYPE", json_object_get(e, "type"));
	field_json(s, "VIRTSCOPE_SEVERITY", json_object_get(e, "severity"));
	field_json(s, "VIRTSCOPE_SEQ", json_object_get(e, "seq"));
	field_json(s, "VIRTSCOPE_ID", json_object_get(e, "id"));
	field_json(s, "VIRTSCOPE_VM", json_object_get(vm, "name"));
	field_json(s, "VIRTSCOPE_VM_UUID", json_object_get(vm, "uuid"));
	field_json(s, "VIRTSCOPE_VM_PID", json_object_get(vm, "pid"));
	fields_of_data(s, json_object_get(e, "data"));
	field(s, "VIRTSCOPE_EVENT", event->line, event->len - 1);
}

static int deliver(const struct vs_sink *s, const struct iovec *iov, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct msghdr msg = { .msg_name = (void *)&s->to, .msg_namelen = sizeof(s->to) };
	struct cmsghdr *cm;

	if (fd >= 0) {
		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		cm = CMSG_FIRSTHDR(&msg);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &fd, sizeof(int));
	} else {
		msg.msg_iov = (struct iovec *)iov;
		msg.msg_iovlen = 1;
	}
	return sendmsg(s->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* What is too long for a datagram goes as a sealed file in memory. */
static int deliver_file(const struct vs_sink *s)
{
	vs_autoclose int fd = memfd_create("virtscope-event", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (write(fd, s->text, s->len) != (ssize_t)s->len)
		return -ENOSPC;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE))
		return -errno;
	return deliver(s, NULL, fd);
}

static int journal_emit(struct vs_sink *s, const struct vs_sink_event *event)
{
	struct iovec iov;
	int r;

	s->len = 0;
	s->failed = false;
	message(s, event);
	if (s->failed)
		return -ENOMEM;
	iov = (struct iovec){ s->text, s->len };
	r = deliver(s, &iov, -1);
	return r == -EMSGSIZE || r == -ENOBUFS ? deliver_file(s) : r;
}

static void journal_close(struct vs_sink **sink)
{
	if (!*sink)
		return;
	(void)close((*sink)->fd);
	free((*sink)->text);
	free(*sink);
	*sink = NULL;
}

const struct vs_sink_ops vs_sink_journal = {
	.emit = journal_emit,
	.close = journal_close,
};

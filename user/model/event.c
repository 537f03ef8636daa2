/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/event.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void read_boot_id(char ret[static 37])
{
	vs_autoclose int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, ret, 36) != 36)
		(void)snprintf(ret, 37, "00000000-0000-0000-0000-000000000000");
	ret[36] = '\0';
}

int vs_events_open(struct vs_events *e, const char *state_path)
{
	char line[96] = "", boot[37] = "";
	uint64_t seq;

	memset(e, 0, sizeof(*e));
	e->state_fd = -1;
	e->next_seq = 1;
	read_boot_id(e->boot_id);
	if (gethostname(e->host, sizeof(e->host) - 1))
		(void)snprintf(e->host, sizeof(e->host), "unknown");
	if (!state_path)
		return 0;
	e->state_fd = open(state_path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	if (e->state_fd < 0)
		return vs_fail(errno, "open '%s': %s (event numbers are kept there)", state_path,
			       strerror(errno));
	if (pread(e->state_fd, line, sizeof(line) - 1, 0) > 0 &&
	    sscanf(line, "%36s %" SCNu64, boot, &seq) == 2 && strcmp(boot, e->boot_id) == 0 &&
	    seq > 0 && seq < INT64_MAX)
		e->next_seq = seq;
	return 0;
}

void vs_events_close(struct vs_events *e)
{
	vs_cleanup_close(&e->state_fd);
	e->state_fd = -1;
}

json_t *vs_events_wrap(struct vs_events *e, uint64_t wall_ns, const char *type,
		       const char *severity, const struct vs_event_vm *vm, json_t *data)
{
	char ts[VS_RFC3339__N];
	json_t *about = NULL, *j;

	vs_clock_rfc3339(wall_ns, ts);
	about = vm ? json_pack("{s:s,s:o,s:I}", "name", vm->name, "uuid",
			       *vm->uuid ? json_string(vm->uuid) : json_null(), "pid",
			       (json_int_t)vm->pid) :
		     json_null();
	j = json_pack("{s:s,s:o,s:I,s:s,s:s,s:s,s:s,s:s,s:o,s:o}", "schema", "virtscope.event/1",
		      "id", json_sprintf("%s-%" PRIu64, e->boot_id, e->next_seq), "seq",
		      (json_int_t)e->next_seq, "boot_id", e->boot_id, "ts", ts, "host", e->host,
		      "type", type, "severity", severity, "vm", about, "data", data);
	if (j)
		e->next_seq++;
	return j;
}

void vs_events_commit(struct vs_events *e)
{
	char line[96];
	int n;

	if (e->state_fd < 0)
		return;
	/* One short write at a fixed width: never half of two numbers. */
	n = snprintf(line, sizeof(line), "%36s %020" PRIu64 "\n", e->boot_id, e->next_seq);
	if (pwrite(e->state_fd, line, (size_t)n, 0) != n)
		vs_debug("event number not stored: %s, ignoring", strerror(errno));
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libvirt_main.c - virtscope-libvirt: the process that talks to libvirtd, so
 * that the probe never has to wait for it. See discover/domain.h.
 *
 * usage: virtscope-libvirt URI PARENT, with the socket as descriptor 3. Started
 * by discover/libvirt.c and by nobody else. It only reads: its connection is a
 * read-only one, and no call of it makes libvirtd ask a QEMU's monitor, which
 * would wait for the guest's jobs. It keeps its user, for whom libvirtd's socket
 * and polkit let root read without a question, and no capability.
 */
#include "app/libvirt_words.h"
#include "base/cleanup.h"
#include "base/privilege.h"
#include "base/text.h"
#include "discover/domain_xml.h"

#include <errno.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <uthash.h>

#define SOCKET 3
#define TICK_MS 1000
/* A libvirtd that is silent for 3 intervals is given up; the probe itself
 * takes 3 s of silence for a loss (discover/libvirt.c). */
#define KEEPALIVE_S 2
#define KEEPALIVE_N 3
#define RETRY_MAX_S 8

struct known {
	char uuid[VS_UUID__N];
	char cause[VS_WORD__N];
	bool dirty;
	uint32_t missing; /* looks in which libvirtd did not list it */
	UT_hash_handle hh;
};

struct agent {
	virConnectPtr conn;
	struct known *domains;
	bool lost, tick, local_qemu;
	struct vs_domain_message message; /* large: not on the stack */
};

static void send_message(struct agent *a, enum vs_domain_message_type type)
{
	a->message.type = type;
	/* Waits while the probe is busy. A probe that is gone needs nobody. */
	if (send(SOCKET, &a->message, sizeof(a->message), MSG_NOSIGNAL) < 0)
		exit(0);
	memset(&a->message, 0, sizeof(a->message));
}

static void send_lost(struct agent *a)
{
	const char *why = virGetLastErrorMessage();

	(void)vs_text_utf8(a->message.text, sizeof(a->message.text), why, strlen(why));
	send_message(a, VS_DOMAIN_LOST);
}

static struct known *find(struct agent *a, const char *uuid)
{
	struct known *k;

	HASH_FIND_STR(a->domains, uuid, k);
	return k;
}

static struct known *want(struct agent *a, const char *uuid)
{
	struct known *k = find(a, uuid);

	if (!k) {
		k = calloc(1, sizeof(*k));
		if (!k)
			return NULL;
		(void)snprintf(k->uuid, sizeof(k->uuid), "%s", uuid);
		HASH_ADD_STR(a->domains, uuid, k);
	}
	k->dirty = true;
	k->missing = 0;
	return k;
}

static void forget(struct agent *a, struct known *k, const char *reason)
{
	struct vs_domain *d = &a->message.domain;

	(void)snprintf(d->uuid, sizeof(d->uuid), "%s", k->uuid);
	(void)snprintf(d->reason, sizeof(d->reason), "%s", reason);
	HASH_DEL(a->domains, k);
	free(k);
	send_message(a, VS_DOMAIN_GONE);
}

/* libvirt's API tells no pid to a reader; its pid file does. */
static uint32_t pid_of(const struct agent *a, const char *name)
{
	char path[VS_NAME__N + 64];
	vs_autofclose FILE *f = NULL;
	uint32_t pid = 0;

	if (!a->local_qemu || strchr(name, '/'))
		return 0;
	(void)snprintf(path, sizeof(path), "/run/libvirt/qemu/%s.pid", name);
	f = fopen(path, "re");
	return f && fscanf(f, "%u", &pid) == 1 ? pid : 0;
}

/* Return: whether the domain runs and was told of. */
static bool describe(struct agent *a, struct known *k)
{
	struct vs_domain *d = &a->message.domain;
	virDomainPtr domain = virDomainLookupByUUIDString(a->conn, k->uuid);
	int state = 0, reason = 0, r = -EINVAL;
	char *xml = domain ? virDomainGetXMLDesc(domain, 0) : NULL;

	if (xml && !virDomainGetState(domain, &state, &reason, 0))
		r = vs_domain_xml_parse(xml, strlen(xml), d);
	free(xml);
	if (domain)
		(void)virDomainFree(domain);
	if (r || d->id < 0) {
		memset(&a->message, 0, sizeof(a->message));
		return false;
	}
	(void)snprintf(d->state, sizeof(d->state), "%s", vs_libvirt_state_name(state));
	(void)snprintf(d->reason, sizeof(d->reason), "%s", vs_libvirt_reason_name(state, reason));
	(void)snprintf(d->cause, sizeof(d->cause), "%s",
		       *k->cause ? k->cause : vs_libvirt_cause_of(state, reason));
	d->pid = pid_of(a, d->name);
	send_message(a, VS_DOMAIN_IS);
	return true;
}

static void describe_dirty(struct agent *a)
{
	struct known *k, *tmp;

	HASH_ITER(hh, a->domains, k, tmp)
	{
		if (!k->dirty || a->lost)
			continue;
		k->dirty = false;
		/* One that cannot be described has ended meanwhile; its event
		 * will say how, or the next look misses it. */
		(void)describe(a, k);
	}
}

/* Domains that no event told of; those that libvirtd lists no more. */
static void look(struct agent *a)
{
	virDomainPtr *list = NULL;
	int n = virConnectListAllDomains(a->conn, &list, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
	struct known *k, *tmp;
	char uuid[VIR_UUID_STRING_BUFLEN];

	if (n < 0)
		return;
	HASH_ITER(hh, a->domains, k, tmp)
	{
		k->missing++;
	}
	for (int i = 0; i < n; i++) {
		if (!virDomainGetUUIDString(list[i], uuid)) {
			k = find(a, uuid);
			if (k)
				k->missing = 0;
			else
				(void)want(a, uuid);
		}
		(void)virDomainFree(list[i]);
	}
	free(list);
	HASH_ITER(hh, a->domains, k, tmp)
	{
		/* Once: the event that says why may be under way. */
		if (k->missing > 1)
			forget(a, k, "unknown");
	}
}

static int on_lifecycle(virConnectPtr conn, virDomainPtr domain, int event, int detail, void *data)
{
	struct agent *a = data;
	char uuid[VIR_UUID_STRING_BUFLEN];
	struct known *k;

	(void)conn;
	if (virDomainGetUUIDString(domain, uuid))
		return 0;
	switch (event) {
	case VIR_DOMAIN_EVENT_STARTED:
		k = want(a, uuid);
		if (k)
			(void)snprintf(k->cause, sizeof(k->cause), "%s", vs_libvirt_start_cause(detail));
		break;
	case VIR_DOMAIN_EVENT_STOPPED:
		k = find(a, uuid);
		if (k)
			forget(a, k, vs_libvirt_stop_reason(detail));
		break;
	case VIR_DOMAIN_EVENT_SUSPENDED:
	case VIR_DOMAIN_EVENT_RESUMED:
	case VIR_DOMAIN_EVENT_SHUTDOWN:
	case VIR_DOMAIN_EVENT_PMSUSPENDED:
	case VIR_DOMAIN_EVENT_CRASHED:
		(void)want(a, uuid);
		break;
	default: /* of definitions, which no process has */
		break;
	}
	return 0;
}

/* Whatever it was, the description is read anew. */
static void mark(struct agent *a, virDomainPtr domain)
{
	char uuid[VIR_UUID_STRING_BUFLEN];

	if (!virDomainGetUUIDString(domain, uuid) && find(a, uuid))
		(void)want(a, uuid);
}

static void on_device(virConnectPtr conn, virDomainPtr domain, const char *alias, void *data)
{
	(void)conn;
	(void)alias;
	mark(data, domain);
}

static void on_balloon(virConnectPtr conn, virDomainPtr domain, unsigned long long kib, void *data)
{
	(void)conn;
	(void)kib;
	mark(data, domain);
}

static void on_block_job(virConnectPtr conn, virDomainPtr domain, const char *target, int type,
			 int status, void *data)
{
	(void)conn;
	(void)target;
	(void)type;
	if (status == VIR_DOMAIN_BLOCK_JOB_COMPLETED)
		mark(data, domain);
}

static void on_medium(virConnectPtr conn, virDomainPtr domain, const char *old_path,
		      const char *new_path, const char *alias, int reason, void *data)
{
	(void)conn;
	(void)old_path;
	(void)new_path;
	(void)alias;
	(void)reason;
	mark(data, domain);
}

static void on_io_error(virConnectPtr conn, virDomainPtr domain, const char *path,
			const char *alias, int action, const char *reason, void *data)
{
	struct agent *a = data;
	struct vs_domain *d = &a->message.domain;
	struct vs_domain_disk *disk = &d->disks[0];
	char uuid[VIR_UUID_STRING_BUFLEN];

	(void)conn;
	if (virDomainGetUUIDString(domain, uuid) || !find(a, uuid))
		return;
	(void)snprintf(d->uuid, sizeof(d->uuid), "%s", uuid);
	d->disks_n = 1;
	if (path)
		(void)vs_text_utf8(disk->path, sizeof(disk->path), path, strlen(path));
	if (alias)
		(void)vs_text_utf8(disk->alias, sizeof(disk->alias), alias, strlen(alias));
	if (reason)
		(void)vs_text_utf8(d->reason, sizeof(d->reason), reason, strlen(reason));
	(void)snprintf(a->message.text, sizeof(a->message.text), "%s", vs_libvirt_io_action(action));
	send_message(a, VS_DOMAIN_IO_ERROR);
}

static void on_close(virConnectPtr conn, int reason, void *data)
{
	struct agent *a = data;

	(void)conn;
	(void)snprintf(a->message.text, sizeof(a->message.text), "%s", vs_libvirt_close_reason(reason));
	a->lost = true;
	send_message(a, VS_DOMAIN_LOST);
}

static void on_tick(int timer, void *data)
{
	struct agent *a = data;

	(void)timer;
	a->tick = true;
}

static void listen_to(struct agent *a, int id, virConnectDomainEventGenericCallback fn)
{
	/* What a driver does not offer is found by the looks. */
	(void)virConnectDomainEventRegisterAny(a->conn, NULL, id, fn, a, NULL);
}

/* One connection, from its opening to its loss. */
static void serve(struct agent *a)
{
	char *uri = virConnectGetURI(a->conn);
	struct known *k, *tmp;

	a->lost = false;
	a->local_qemu = uri && strcmp(uri, "qemu:///system") == 0;
	free(uri);
	(void)virConnectRegisterCloseCallback(a->conn, on_close, a, NULL);
	(void)virConnectSetKeepAlive(a->conn, KEEPALIVE_S, KEEPALIVE_N);
	listen_to(a, VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle));
	listen_to(a, VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, VIR_DOMAIN_EVENT_CALLBACK(on_device));
	listen_to(a, VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, VIR_DOMAIN_EVENT_CALLBACK(on_device));
	listen_to(a, VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE, VIR_DOMAIN_EVENT_CALLBACK(on_balloon));
	listen_to(a, VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2, VIR_DOMAIN_EVENT_CALLBACK(on_block_job));
	listen_to(a, VIR_DOMAIN_EVENT_ID_DISK_CHANGE, VIR_DOMAIN_EVENT_CALLBACK(on_medium));
	listen_to(a, VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON, VIR_DOMAIN_EVENT_CALLBACK(on_io_error));
	send_message(a, VS_DOMAIN_CONNECTED);
	look(a);
	describe_dirty(a);
	if (!a->lost)
		send_message(a, VS_DOMAIN_SYNCED);
	while (!a->lost && !virEventRunDefaultImpl()) {
		int n;

		describe_dirty(a);
		if (!a->tick || a->lost)
			continue;
		a->tick = false;
		n = virConnectNumOfDomains(a->conn);
		if (n >= 0 && (uint32_t)n != HASH_COUNT(a->domains)) {
			look(a);
			describe_dirty(a);
		}
		if (n >= 0 && !a->lost)
			send_message(a, VS_DOMAIN_ALIVE);
	}
	HASH_ITER(hh, a->domains, k, tmp)
	{
		HASH_DEL(a->domains, k);
		free(k);
	}
	(void)virConnectUnregisterCloseCallback(a->conn, on_close);
}

static void quiet(void *data, virErrorPtr error)
{
	(void)data;
	(void)error; /* told through the socket */
}

int main(int argc, char **argv)
{
	static struct agent agent;
	unsigned int retry_s = 1;

	if (argc != 3) {
		(void)fprintf(stderr,
			      "virtscope-libvirt: a part of virtscope, which starts it itself\n");
		return 2;
	}
	/* A report of its own runs with all that root may do; this needs none of it. */
	if (vs_privilege_drop(NULL, 0))
		return 1;
	/* It must not outlive the probe, however that ends. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != (pid_t)strtol(argv[2], NULL, 10))
		return 0;
	virSetErrorFunc(NULL, quiet);
	if (virInitialize() || virEventRegisterDefaultImpl() ||
	    virEventAddTimeout(TICK_MS, on_tick, &agent, NULL) < 0) {
		send_lost(&agent);
		return 1;
	}
	for (;;) {
		agent.conn = virConnectOpenReadOnly(argv[1]);
		if (agent.conn) {
			retry_s = 1;
			serve(&agent);
			(void)virConnectClose(agent.conn);
		} else {
			send_lost(&agent);
		}
		(void)sleep(retry_s);
		retry_s = retry_s * 2 < RETRY_MAX_S ? retry_s * 2 : RETRY_MAX_S;
	}
}

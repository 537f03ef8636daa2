/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "discover/domain.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>

static void tidy(char *text, size_t size)
{
	char copy[VS_PATH__N];

	memcpy(copy, text, size);
	(void)vs_text_utf8(text, size, copy, strnlen(copy, size - 1));
}
#define TIDY(field)                                                                                \
	do {                                                                                       \
		_Static_assert(sizeof(field) <= VS_PATH__N, "copy is smaller");                    \
		tidy(field, sizeof(field));                                                        \
	} while (0)

/* A name that is wrong or there twice would make the whole exposition invalid. */
static bool accept_labels(struct vs_domain *d)
{
	if (d->labels_n > VS_LABEL__N)
		return false;
	for (uint32_t i = 0; i < d->labels_n; i++) {
		struct vs_label *l = &d->labels[i];

		TIDY(l->value);
		l->name[sizeof(l->name) - 1] = '\0';
		if (!vs_label_name_ok(l->name) || !*l->value)
			return false;
		for (uint32_t k = 0; k < i; k++)
			if (strcmp(d->labels[k].name, l->name) == 0)
				return false;
	}
	return true;
}

bool vs_domain_accept(struct vs_domain_message *m, ssize_t n)
{
	struct vs_domain *d = &m->domain;

	if (n != sizeof(*m) || m->type == 0 || m->type >= VS_DOMAIN_TYPE__N ||
	    d->disks_n > VS_DOMAIN_DISK__N || d->nics_n > VS_DOMAIN_NIC__N)
		return false;
	TIDY(m->text);
	TIDY(d->name);
	TIDY(d->uuid);
	TIDY(d->title);
	TIDY(d->state);
	TIDY(d->reason);
	TIDY(d->cause);
	for (uint32_t i = 0; i < d->disks_n; i++) {
		TIDY(d->disks[i].target);
		TIDY(d->disks[i].alias);
		TIDY(d->disks[i].path);
	}
	for (uint32_t i = 0; i < d->nics_n; i++) {
		TIDY(d->nics[i].tap);
		TIDY(d->nics[i].alias);
		TIDY(d->nics[i].mac);
	}
	return accept_labels(d);
}

/*
 * systemd-machined's scope is "machine-qemu\x2dID\x2dNAME.scope" (systemd
 * escapes the dashes of the machine's name "qemu-ID-NAME"); libvirt's own is
 * "qemu-ID-NAME.libvirt-qemu". The name may be cut and filtered, the id is not.
 */
int vs_domain_cgroup_parse(const char *text)
{
	static const char *const before[] = { "/machine-qemu\\x2d", "/qemu-" };
	static const char *const after[] = { "\\x2d", "-" };

	for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
		const char *at = strstr(text, before[i]);
		char *end;
		long id;

		if (!at || !isdigit((unsigned char)at[strlen(before[i])]))
			continue;
		id = strtol(at + strlen(before[i]), &end, 10);
		if (id >= 0 && id <= INT32_MAX && vs_text_starts(end, after[i]))
			return (int)id;
	}
	return -1;
}

int vs_domain_cgroup_id(uint32_t pid)
{
	char path[64], text[8192];
	vs_autoclose int fd = -1;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%u/cgroup", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	return vs_domain_cgroup_parse(text);
}

bool vs_domain_agrees(const struct vs_domain *d, uint32_t pid, const struct vs_cmdline *facts,
		      int cgroup_id, char *ret, size_t size)
{
	ret[0] = '\0';
	if (d->pid && d->pid != pid)
		(void)snprintf(ret, size, "libvirt's pid file says process %u", d->pid);
	else if (*facts->uuid && strcasecmp(facts->uuid, d->uuid) != 0)
		(void)snprintf(ret, size, "the command line says UUID %s", facts->uuid);
	else if (*facts->name && strcmp(facts->name, d->name) != 0)
		(void)snprintf(ret, size, "the command line says name %.100s", facts->name);
	else if (cgroup_id >= 0 && cgroup_id != d->id)
		(void)snprintf(ret, size, "its cgroup is that of domain id %d", cgroup_id);
	/* A name may have been cut inside a character. */
	tidy(ret, size);
	return !*ret;
}

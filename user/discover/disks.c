/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "discover/disks.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <fcntl.h>
#include <string.h>

/* dm and md on top of others: somebody else is the leaf. */
static bool has_slaves(const char *base)
{
	char path[320];
	vs_autodir DIR *dir = NULL;
	struct dirent *e;

	(void)snprintf(path, sizeof(path), "%s/slaves", base);
	dir = opendir(path);
	while (dir && (e = readdir(dir)))
		if (e->d_name[0] != '.')
			return true;
	return false;
}

void vs_disks_describe(uint32_t dev, struct vs_disk_info *ret)
{
	char base[288], link[512], path[320];
	vs_autoclose int fd = -1;
	ssize_t n;

	memset(ret, 0, sizeof(*ret));
	(void)snprintf(base, sizeof(base), "/sys/dev/block/%u:%u", dev >> 20, dev & 0xfffff);
	(void)snprintf(ret->name, sizeof(ret->name), "%u:%u", dev >> 20, dev & 0xfffff);
	(void)snprintf(ret->kind, sizeof(ret->kind), "disk");
	n = readlink(base, link, sizeof(link) - 1);
	if (n <= 0)
		return;
	link[n] = '\0';
	(void)snprintf(ret->name, sizeof(ret->name), "%.31s", strrchr(link, '/') ? strrchr(link, '/') + 1 : link);
	if (vs_text_starts(ret->name, "dm-") || vs_text_starts(ret->name, "md"))
		(void)snprintf(ret->kind, sizeof(ret->kind), "%.2s", ret->name);
	ret->logical = has_slaves(base);
	(void)snprintf(path, sizeof(path), "%s/loop/backing_file", base);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, link, sizeof(link) - 1);
	if (n <= 0)
		return;
	link[n] = '\0';
	link[strcspn(link, "\n")] = '\0';
	(void)vs_text_utf8(ret->backing, sizeof(ret->backing), link, strlen(link));
	(void)snprintf(ret->kind, sizeof(ret->kind), "loop");
	ret->logical = true;
}

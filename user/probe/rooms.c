/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probe/rooms.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ALL_MAPS 64

/* What the kernel says of its memory: all of it, on new kernels; 0: nothing. */
static uint64_t bytes_of(int fd)
{
	char path[48], text[1024], *at;
	vs_autoclose int info = -1;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	n = info < 0 ? -1 : read(info, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	at = strstr(text, "\nmemlock:");
	return at ? strtoull(at + 9, NULL, 10) : 0;
}

static bool is_map(int dir, const char *name)
{
	char target[32];
	ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);

	if (n < 0)
		return false;
	target[n] = '\0';
	return strcmp(target, "anon_inode:bpf-map") == 0;
}

static struct vs_map_sample *row_of(struct vs_map_sample *rows, uint32_t n, const char *name)
{
	for (uint32_t i = 0; i < n; i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

uint32_t vs_rooms_read(struct vs_map_sample *ret, uint32_t size)
{
	vs_autodir DIR *dir = opendir("/proc/self/fd");
	uint32_t seen[ALL_MAPS], seen_n = 0, n = 0;
	struct dirent *e;

	while (dir && (e = readdir(dir)) && seen_n < ALL_MAPS) {
		int fd = atoi(e->d_name);
		struct bpf_map_info info = { 0 };
		uint32_t len = sizeof(info), i = 0;
		struct vs_map_sample *row;

		if (!is_map(dirfd(dir), e->d_name) || bpf_obj_get_info_by_fd(fd, &info, &len) ||
		    !vs_text_starts(info.name, "vs_"))
			continue;
		/* objects that share a map have a descriptor each */
		while (i < seen_n && seen[i] != info.id)
			i++;
		if (i < seen_n)
			continue;
		seen[seen_n++] = info.id;
		row = row_of(ret, n, info.name);
		if (!row && n < size) {
			row = &ret[n++];
			*row = (struct vs_map_sample){ .used = VS_MAP_UNCOUNTED };
			memcpy(row->name, info.name, sizeof(row->name));
		}
		if (!row)
			continue;
		row->max += info.max_entries;
		row->bytes += bytes_of(fd);
	}
	return n;
}

void vs_rooms_use(struct vs_map_sample *rows, uint32_t n, const char *name, uint64_t used)
{
	struct vs_map_sample *row = row_of(rows, n, name);

	if (row)
		row->used = used;
}

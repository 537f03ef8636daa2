/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "discover/iter.h"

#include "base/cleanup.h"

#include <assert.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

int vs_iter_read(int link_fd, size_t size, void (*fn)(void *data, const void *row), void *data)
{
	vs_autoclose int fd = bpf_iter_create(link_fd);
	_Alignas(8) char rows[64 * VS_ITER_ROW_MAX];
	size_t have = 0;

	assert(size <= VS_ITER_ROW_MAX);
	if (fd < 0)
		return fd;
	for (;;) {
		ssize_t n = read(fd, rows + have, sizeof(rows) - have);
		size_t at = 0;

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue; /* the kernel asks to come again after a long stretch */
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		have += (size_t)n;
		for (; have - at >= size; at += size)
			fn(data, rows + at);
		have -= at;
		memmove(rows, rows + at, have);
	}
}

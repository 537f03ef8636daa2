// SPDX-License-Identifier: GPL-2.0-or-later
#include "pose/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define POSE_DISK__N	8

struct pose_disk {
	char path[256];
	int fd;
};

static struct pose_disk disks[POSE_DISK__N];
static int ndisks;

int pose_disk_open(const char *path)
{
	struct pose_disk *disk;
	int fd;

	if (ndisks == POSE_DISK__N)
		return -ENOSPC;
	fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	disk = &disks[ndisks++];
	snprintf(disk->path, sizeof(disk->path), "%s", path);
	disk->fd = fd;
	return 0;
}

void pose_cmd_disk_open(const struct pose_args *args)
{
	int r = pose_disk_open(pose_arg(args, "path", ""));

	if (r)
		pose_reply_error("disk-open", -r);
	else
		pose_reply_ok();
}

static int pose_disk_op(int fd, const char *op, void *buf, uint64_t size, uint64_t pos)
{
	uint64_t range[2] = { pos, size };

	if (!strcmp(op, "read"))
		return pread(fd, buf, size, (off_t)pos) == (ssize_t)size ? 0 : -1;
	if (!strcmp(op, "write"))
		return pwrite(fd, buf, size, (off_t)pos) == (ssize_t)size ? 0 : -1;
	if (!strcmp(op, "flush"))
		return fdatasync(fd);
	if (!strcmp(op, "discard"))
		return ioctl(fd, BLKDISCARD, range);
	errno = EINVAL;
	return -1;
}

/* Queue depth 1, O_DIRECT, sequential from the start: one call, one request. */
void pose_cmd_disk(const struct pose_args *args)
{
	const char *op = pose_arg(args, "op", "read"), *path = pose_arg(args, "path", NULL);
	uint64_t count = pose_arg_u64(args, "count", 1), size = pose_arg_u64(args, "size", 4096);
	struct pose_disk *disk = NULL;
	void *buf = NULL;
	uint64_t done = 0;
	int err = 0;

	for (int i = 0; i < ndisks; i++)
		if (!disk && (!path || !strcmp(disks[i].path, path)))
			disk = &disks[i];
	if (!disk || posix_memalign(&buf, 4096, size)) {
		pose_reply_error("disk", disk ? ENOMEM : ENODEV);
		return;
	}
	memset(buf, 0x5a, size);
	for (uint64_t i = 0; i < count && !err; i++) {
		if (pose_disk_op(disk->fd, op, buf, size, i * size))
			err = errno ? errno : EIO;
		else
			done++;
	}
	free(buf);
	if (err)
		pose_reply_error("disk", err);
	else
		printf("{\"ok\":true,\"ops\":%" PRIu64 ",\"bytes\":%" PRIu64 "}\n", done,
		       strcmp(op, "flush") ? done * size : 0);
}

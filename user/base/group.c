/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/group.h"

#include "base/log.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <unistd.h>

void vs_group_give(int fd)
{
	const struct group *g = getgrnam(VS_GROUP);

	if (g && fchown(fd, (uid_t)-1, g->gr_gid))
		vs_debug("give a file to group %s: %s, ignoring", VS_GROUP, strerror(errno));
}

void vs_group_give_path(const char *path)
{
	const struct group *g = getgrnam(VS_GROUP);

	if (g && chown(path, (uid_t)-1, g->gr_gid))
		vs_debug("give '%s' to group %s: %s, ignoring", path, VS_GROUP, strerror(errno));
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "app/permission.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <bpf/bpf.h>

bool vs_permitted(const char *command)
{
	vs_autoclose int fd = -1;

	if (geteuid() == 0)
		return true;
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "vs_try", 4, 4, 1, NULL);
	if (fd >= 0)
		return true;
	vs_error("%s: not permitted: it reads every process and loads BPF programs. Run it as root "
		 "(sudo virtscope %s)",
		 command, command);
	return false;
}

bool vs_tier_accepted(const struct vs_source *source, bool require_bpf)
{
	const char *why;

	if (vs_source_tier(source, &why) > 0)
		return true;
	if (require_bpf) {
		vs_error("%s; --require-bpf was given (virtscope doctor tells more)", why);
		return false;
	}
	vs_warn("%s; tier 0: totals of links only, no drop reasons, no residence, no disks "
		"(virtscope doctor tells more)",
		why);
	return true;
}

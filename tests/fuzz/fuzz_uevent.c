/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as a message of the kernel's uevent socket (make fuzz).
 */
#include "discover/uevent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	(void)vs_uevent_parse((const char *)data, size);
	(void)vs_uevent_is_module((const char *)data, size);
	return 0;
}
